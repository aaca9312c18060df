#include "linux/process/sysctl_file.h"

#include <fcntl.h>

#include <array>
#include <cstring>

#include "linux/process/descriptor.h"

namespace adit::platform {
namespace {

Result<Descriptor> open_setting(const std::string& path, int flags) {
  if (path.empty() || path.front() == '/' || path.find("..") != std::string::npos)
    return fail(EINVAL, "{}: not the name of a kernel setting", path);
  Descriptor file(open(("/proc/sys/" + path).c_str(), flags | O_CLOEXEC));
  if (file.valid()) return file;
  if (errno == ENOENT) return fail(ENOENT, "{}: this kernel has no such setting", path);
  if (errno == EROFS) return fail(EROFS, "{}: /proc/sys is read-only here (a container?); set it on the host", path);
  return fail(errno, "{}: {}", path, std::strerror(errno));
}

}  // namespace

Result<std::string> read_sysctl(const std::string& path) {
  TRY_ASSIGN(const Descriptor file, open_setting(path, O_RDONLY));
  std::array<char, 4096> text;
  const ssize_t got = read(file.get(), text.data(), text.size());
  if (got < 0) return fail(errno, "{}: {}", path, std::strerror(errno));
  std::string value(text.data(), static_cast<size_t>(got));
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

Result<> write_sysctl(const std::string& path, const std::string& value) {
  TRY_ASSIGN(const Descriptor file, open_setting(path, O_WRONLY));
  if (write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size())) return {};
  return fail(errno, "{}: the kernel does not take \"{}\": {}", path, value, std::strerror(errno));
}

}  // namespace adit::platform
