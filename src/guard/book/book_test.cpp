#include "guard/book/book.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "guard/book/book_file.h"

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

Line line_of(const net::Prefix& network, uint64_t generation, std::optional<Entry> entry) {
  return {
      .network = network, .interface = {}, .generation = generation, .entry = std::move(entry), .because = "a test"};
}
Entry held_by(const char* tunnel, bool temporary = false) {
  return {{{{tunnel, ""}, {{Source::route}, temporary}}}, {}};
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
  const Book book = sample();
  for (const auto& [network, entry] : book.networks()) {
    const std::string text = text_of(line_of(network, 7, entry));
    const auto read = parse_line(std::string_view(text).substr(0, text.size() - 1));
    ASSERT_TRUE(read) << text << read.error().text;
    EXPECT_EQ(read->network, network);
    EXPECT_EQ(read->entry, entry);
    EXPECT_EQ(read->generation, 7u);
  }
}

TEST(Book, ALineThatIsCutOrChangedAnywhereIsRefused) {
  const Book book = sample();
  const auto& [network, entry] = *book.networks().begin();
  const std::string text = text_of(line_of(network, 7, entry));
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
  Book book, was;
  const auto before = [&]() -> const Book& { return was; };
  for (int i = 0; i < 2000; ++i) {
    const net::Prefix network = prefix(fmt::format("10.{}.{}.0/24", i % 7, i % 5).c_str());
    was = book;
    ++book.generation;
    if (i % 3 == 0 && book.holds(network)) {
      book.put(network, std::nullopt);
      ASSERT_TRUE(file.append({line_of(network, book.generation, std::nullopt)}, before));
    } else {
      book.add({network, "t0", Source::route});
      ASSERT_TRUE(file.append({line_of(network, book.generation, *book.find(network))}, before));
    }
  }
  BookFile again(path_, Lasting::disk, "test");
  const auto lines = again.load();
  ASSERT_TRUE(lines && *lines);
  EXPECT_EQ((*lines)->book(), book);
  EXPECT_LT(std::filesystem::file_size(path_), 60000u) << "old lines go";
}

TEST_F(File, ACutLastLineIsNotCountedAndTheNextChangeMendsIt) {
  BookFile file(path_, Lasting::boot, "test");
  Book book = sample();
  ASSERT_TRUE(file.rewrite(book));
  write(text() + "net 10.77.0.0/16 g=8 hold=t0;;las");
  const auto lines = file.load();
  ASSERT_TRUE(lines && *lines) << lines.error().text;
  EXPECT_EQ((*lines)->book(), sample());
  book.add({prefix("10.78.0.0/16"), "t0", Source::route});
  const Book before = sample();
  ASSERT_TRUE(file.append({line_of(prefix("10.78.0.0/16"), 9, *book.find(prefix("10.78.0.0/16")))},
                          [&]() -> const Book& { return before; }));
  EXPECT_EQ((*file.load())->book(), book);
}

TEST_F(File, OnDiskItTellsOfNoTemporaryTunnel) {
  BookFile file(path_, Lasting::disk, "test");
  ASSERT_TRUE(file.rewrite(sample()));
  EXPECT_EQ(text().find("temporary"), std::string::npos);
  const auto lines = file.load();
  ASSERT_TRUE(lines && *lines);
  EXPECT_FALSE((*lines)->temporary);
  EXPECT_FALSE((*lines)->book().holds(prefix("10.9.0.0/16")));
  EXPECT_TRUE((*lines)->book().holds(prefix("10.0.1.0/24")));
}

TEST_F(File, WhatAnotherRefusedIsTakenBackAlsoFromAFileWrittenAnewForIt) {
  BookFile file(path_, Lasting::boot, "test");
  const Book before = sample();
  ASSERT_TRUE(file.append({line_of(prefix("10.9.0.0/16"), 8, std::nullopt)}, [&]() -> const Book& { return before; }));
  file.take_back();
  EXPECT_EQ((*file.load())->book(), before);
  EXPECT_EQ((*file.load())->generation(), 7u);
  const std::string there = text();
  file.take_back();
  EXPECT_EQ(text(), there) << "once";
}

TEST_F(File, OfWhichOnlySomeLinesCanBeReadItIsNeverWhole) {
  BookFile file(path_, Lasting::disk, "test");
  ASSERT_TRUE(file.rewrite(sample()));
  EXPECT_EQ((*file.load())->whole, 7u);
  EXPECT_EQ(file.readable().whole, 0u);
}

TEST_F(File, ABrokenLineInTheMiddleIsNamed) {
  BookFile file(path_, Lasting::boot, "test");
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

// ---- several files of one book

constexpr bool kOnDisk = false, kUntilBoot = true;
Lines lines(bool temporary, const std::vector<Line>& all, uint64_t whole = 0) {
  Lines said;
  for (const Line& line : all) said.take(line);
  said.whole = whole;
  said.temporary = temporary;
  return said;
}
const net::Prefix kNet = prefix("10.0.0.0/8");
bool held(const std::vector<Lines>& files) {
  auto reversed = files;
  std::ranges::reverse(reversed);
  EXPECT_EQ(book_of(files), book_of(reversed));
  return book_of(files).holds(kNet);
}

TEST(Files, OfTwoTheNewerLineCountsAndOfEqualAgeTheOneThatCloses) {
  const Line there = line_of(kNet, 4, held_by("t0"));
  EXPECT_FALSE(held({lines(kOnDisk, {there}), lines(kOnDisk, {line_of(kNet, 5, {})})}));
  EXPECT_TRUE(held({lines(kOnDisk, {there}), lines(kOnDisk, {line_of(kNet, 4, {})})}));
  EXPECT_TRUE(held({lines(kOnDisk, {there}), lines(kOnDisk, {line_of(kNet, 3, {})})}));
}

TEST(Files, WhatAFileThatIsWholeDoesNotNameWasGoneByThen) {
  const Line there = line_of(kNet, 4, held_by("t0"));
  EXPECT_TRUE(held({lines(kOnDisk, {there}), lines(kOnDisk, {})})) << "silence alone opens nothing";
  EXPECT_FALSE(held({lines(kOnDisk, {there}), lines(kOnDisk, {}, 5)}));
  EXPECT_TRUE(held({lines(kOnDisk, {there}), lines(kOnDisk, {}, 4)})) << "of equal age";
  EXPECT_TRUE(held({lines(kOnDisk, {there}), lines(kOnDisk, {}, 3)})) << "it came later";
  EXPECT_FALSE(held({lines(kOnDisk, {there}), lines(kOnDisk, {}, 5), lines(kUntilBoot, {})}));
  EXPECT_EQ(book_of({lines(kOnDisk, {}, 5)}).generation, 5u);
}

TEST(Files, OfTemporaryHoldsOnlyTheOneThatTellsOfThemIsAsked) {
  Entry both = held_by("t1");
  both.holders[{"t0", ""}] = {{Source::closed}, true};
  const Lines run = lines(kUntilBoot, {line_of(kNet, 4, both)});
  const auto holders = [&](const Lines& disk) {
    EXPECT_TRUE(held({disk, run}));
    const Entry entry = *book_of({disk, run}).find(kNet);
    return fmt::format("{}{}", entry.held_by("t0") ? "t0" : "", entry.held_by("t1") ? "t1" : "");
  };
  EXPECT_EQ(holders(lines(kOnDisk, {line_of(kNet, 4, held_by("t1"))})), "t0t1");
  EXPECT_EQ(holders(lines(kOnDisk, {line_of(kNet, 9, held_by("t1"))})), "t0t1");
  EXPECT_EQ(holders(lines(kOnDisk, {line_of(kNet, 9, {})})), "t0");
  EXPECT_EQ(holders(lines(kOnDisk, {}, 9)), "t0");
  EXPECT_EQ(holders(lines(kOnDisk, {})), "t0t1");
  const Lines disk = lines(kOnDisk, {line_of(kNet, 4, held_by("t1"))});
  EXPECT_FALSE(held({disk, lines(kUntilBoot, {line_of(kNet, 5, {})})}));
  EXPECT_FALSE(held({lines(kOnDisk, {line_of(kNet, 4, both)}, 5), lines(kUntilBoot, {}, 5), lines(kOnDisk, {}, 5)}))
      << "a file on disk that tells of a temporary hold is not heard";
}

TEST(Files, AnInterfaceIsInsideOnlyByTheNewestWord) {
  const auto said = [](uint64_t generation, bool inside) {
    return Line{.network = {},
                .interface = "net1",
                .generation = generation,
                .entry = {},
                .inside = inside,
                .because = "a test"};
  };
  const auto inside = [](const std::vector<Lines>& files) { return book_of(files).inside().contains("net1"); };
  EXPECT_TRUE(inside({lines(kOnDisk, {said(4, true)}), lines(kOnDisk, {said(3, false)})}));
  EXPECT_FALSE(inside({lines(kOnDisk, {said(4, true)}), lines(kOnDisk, {said(5, false)})}));
  for (const bool first : {true, false})
    EXPECT_FALSE(inside({lines(kOnDisk, {said(4, first)}), lines(kOnDisk, {said(4, !first)})})) << "of equal age";
  EXPECT_TRUE(inside({lines(kOnDisk, {said(4, true)}), lines(kOnDisk, {})}));
  EXPECT_FALSE(inside({lines(kOnDisk, {said(4, true)}), lines(kOnDisk, {}, 5)}));
}

}  // namespace
}  // namespace adit::guard
