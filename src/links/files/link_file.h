// A file of links and its journal: a change costs itself, whatever the number of links. What changed stands in the
// journal when the call returns; the file takes it up when the journal grows, or when its owner has a moment. While
// links are few there is no journal.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/store.h"
#include "links/files/datalink_conf.h"

namespace adit::engine {

struct LinkChange {
  std::string name;
  std::optional<TunnelRecord> record;  // nullopt: it is gone
};

class LinkFile {
 public:
  // `point` names the crash points: POINT:… of the file, POINT.journal:… of the journal.
  LinkFile(std::string path, Lasting lasting, std::string point);

  // The file with what the journal changes. A last change that is cut does not count: it never took effect. What else
  // is wrong with the journal makes the links that it is about broken lines. EPROTONOSUPPORT: a journal of another
  // version.
  Result<DatalinkConf> load();
  // All of the changes or none. `whole`: gives everything, with them; asked when the file is written anew.
  Result<> change(const std::vector<LinkChange>& changes, const std::function<DatalinkConf()>& whole);
  Result<> write(const DatalinkConf& whole);
  [[nodiscard]] bool owes() const { return in_journal_ > 0; }  // the file is older than the journal

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void apply(std::string_view group, DatalinkConf& conf);
  void doubt(std::string_view group, DatalinkConf& conf) const;

  std::string path_, journal_;
  Lasting lasting_;
  std::string point_, journal_point_;
  size_t in_file_ = 0, in_journal_ = 0;
  bool journal_whole_ = true;
};

}  // namespace adit::engine
