#include "guard/book.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "guard/book_file.h"

namespace adit::guard {
namespace {

net::Prefix prefix(const char* text) {
  return *net::Prefix::parse(text);
}

Book sample() {
  Book book;
  book.add({prefix("10.0.1.7/24"), "t0", Source::route});
  book.add({prefix("10.0.1.0/24"), "t0", Source::policy, false, "svc:/a b%:default"});
  book.add({prefix("10.0.1.0/24"), "t1", Source::seen, true});
  book.add({prefix("10.9.0.0/16"), "t1", Source::route, true});
  book.add({prefix("2001:db8::/32"), "", Source::kept});
  book.set_inside("net1", true);
  book.generation = 7;
  return book;
}

class File : public ::testing::Test {
 protected:
  File() {
    std::string name = (std::filesystem::temp_directory_path() / "adit-book-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    path_ = directory_ + "/guard.book";
  }
  ~File() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string text() const {
    std::ifstream in(path_);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(std::string_view text) const { std::ofstream(path_) << text; }
  std::string directory_, path_;
};

TEST(Book, EachLineReadsBackAsItself) {
  const Lines lines = lines_of(sample());
  for (const auto& [network, line] : lines.networks) {
    const std::string text = text_of(line);
    const auto read = parse_line(std::string_view(text).substr(0, text.size() - 1));
    ASSERT_TRUE(read) << text << read.error().text;
    EXPECT_EQ(read->network, line.network);
    EXPECT_EQ(read->entry, line.entry);
    EXPECT_EQ(read->generation, 7u);
  }
  EXPECT_EQ(lines.book(), sample());
}

TEST(Book, ALineThatIsCutOrChangedAnywhereIsRefused) {
  const std::string text = text_of(lines_of(sample()).networks.begin()->second);
  for (size_t length = 0; length + 1 < text.size(); ++length)
    EXPECT_FALSE(parse_line(std::string_view(text).substr(0, length))) << length;
  for (size_t at = 0; at + 1 < text.size(); ++at) {
    std::string changed = text.substr(0, text.size() - 1);
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(parse_line(changed)) << changed;
  }
}

TEST(Book, ANetworkLeavesItWithItsLastHold) {
  Book book = sample();
  Book::Before before;
  book.remove({prefix("10.0.1.0/24"), "t0", Source::route}, &before);
  book.remove({prefix("10.0.1.0/24"), "t1", Source::seen, true}, &before);
  EXPECT_TRUE(book.holds(prefix("10.0.1.0/24")));
  book.remove({prefix("10.0.1.0/24"), "t0", Source::policy, false, "another"}, &before);
  EXPECT_TRUE(book.holds(prefix("10.0.1.0/24"))) << "another's name opens nothing";
  book.remove({prefix("10.0.1.0/24"), "t0", Source::policy, false, "svc:/a b%:default"}, &before);
  EXPECT_FALSE(book.holds(prefix("10.0.1.0/24")));
  EXPECT_EQ(book.networks_of("t0").size(), 0u);
  book.put_back(before);
  EXPECT_EQ(book, sample());
}

TEST(Book, TheNearestWiderNetworkIsFound) {
  Book book = sample();
  book.add({prefix("10.0.0.0/8"), "t2", Source::route});
  EXPECT_EQ(book.enclosing(prefix("10.0.1.9/32"))->first, prefix("10.0.1.0/24"));
  EXPECT_EQ(book.enclosing(prefix("10.0.1.0/24"))->first, prefix("10.0.0.0/8"));
  EXPECT_EQ(book.enclosing(prefix("11.0.0.0/8")), nullptr);
}

TEST_F(File, AJournalOfChangesReadsBackAsTheBook) {
  BookFile file(path_, Lasting::disk, "test");
  EXPECT_FALSE(file.load()->has_value());
  Book book;
  const auto whole = [&]() -> const Book& { return book; };
  for (int i = 0; i < 2000; ++i) {
    const net::Prefix network = prefix(fmt::format("10.{}.{}.0/24", i % 7, i % 5).c_str());
    ++book.generation;
    if (i % 3 == 0 && book.holds(network)) {
      book.put(network, std::nullopt);
      ASSERT_TRUE(file.append({{.network = network, .generation = book.generation, .because = "test"}}, whole));
    } else {
      book.add({network, "t0", Source::route});
      ASSERT_TRUE(
          file.append({{.network = network, .generation = book.generation, .entry = *book.find(network)}}, whole));
    }
  }
  BookFile again(path_, Lasting::disk, "test");
  const auto lines = again.load();
  ASSERT_TRUE(lines && *lines);
  EXPECT_EQ((*lines)->book(), book);
  EXPECT_LT(std::filesystem::file_size(path_), 60000u) << "old lines go";
}

TEST_F(File, ACutLastLineIsNotCountedAndTheNextChangeMendsIt) {
  BookFile file(path_, Lasting::disk, "test");
  Book book = sample();
  ASSERT_TRUE(file.rewrite(book));
  write(text() + "net 10.77.0.0/16 g=8 hold=t0;;las");
  const auto lines = file.load();
  ASSERT_TRUE(lines && *lines) << lines.error().text;
  EXPECT_EQ((*lines)->book(), sample());
  book.add({prefix("10.78.0.0/16"), "t0", Source::route});
  ASSERT_TRUE(
      file.append({{.network = prefix("10.78.0.0/16"), .generation = 9, .entry = *book.find(prefix("10.78.0.0/16"))}},
                  [&]() -> const Book& { return book; }));
  EXPECT_EQ((*file.load())->book(), book);
}

TEST_F(File, ABrokenLineInTheMiddleIsNamed) {
  BookFile file(path_, Lasting::disk, "test");
  ASSERT_TRUE(file.rewrite(sample()));
  std::string broken = text();
  broken[broken.find("10.9.0.0") + 1] = '1';
  broken[broken.find("10.0.1.0") + 1] = '2';
  write(broken);
  const auto read = file.load();
  ASSERT_FALSE(read);
  EXPECT_TRUE(read.error().text.starts_with(path_ + ":2: ")) << read.error().text;
  write("something else\n");
  EXPECT_FALSE(file.load());
  write("");
  EXPECT_FALSE(file.load()->has_value()) << "an empty file is a lost one";
}

TEST(Lines, OfTwoCopiesTheNewerLineCountsAndOfEqualAgeTheOneThatCloses) {
  Lines lines;
  const Line held{.network = prefix("10.0.0.0/8"),
                  .interface = {},
                  .generation = 4,
                  .entry = Entry{{{{"t0", ""}, {{Source::route}, false}}}, {}},
                  .because = {}};
  Line gone{.network = prefix("10.0.0.0/8"), .interface = {}, .generation = 5, .entry = {}, .because = "x"};
  lines.take(gone);
  lines.take(held);
  EXPECT_FALSE(lines.book().holds(prefix("10.0.0.0/8")));
  gone.generation = 4;
  lines = {};
  lines.take(gone);
  lines.take(held);
  EXPECT_TRUE(lines.book().holds(prefix("10.0.0.0/8")));
}

}  // namespace
}  // namespace adit::guard
