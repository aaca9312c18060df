#include "cli/command_table.h"

int main(int argc, char** argv) {
  return adit::cli::run(argc, argv);
}
