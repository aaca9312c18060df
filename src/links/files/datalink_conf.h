// /etc/dladm/datalink.conf (links-and-addresses.md §1.9): one line a link, `linkid TAB name=type,value;…`. Text only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"
#include "tunnel/link.h"

namespace adit::engine {

struct LinkProperties {  // nullopt: the default
  std::optional<uint8_t> hoplimit, encaplimit;
  std::optional<uint32_t> mtu;
  std::optional<bool> mssclamp;
  std::optional<std::string> ipsec;  // policy of the tunnel, as typed: an action block, or whole rules
  friend bool operator==(const LinkProperties&, const LinkProperties&) = default;
};

struct TunnelRecord {
  tunnel::LinkId id{};
  std::string name;
  tunnel::Type type = tunnel::Type::ipv4;
  std::optional<std::string> local, remote;  // as typed
  // What a name stood for when it was last resolved: used at a start before names can be resolved.
  std::optional<net::Address> local_seen, remote_seen;
  bool secured = false;
  bool temporary = false;   // in the run directory's file only
  bool had_policy = false;  // in the run directory's file only: an active head was attached when it was written
  // Counts the persistent changes. Where the run directory's file has another one than datalink.conf, a daemon died
  // between the two, and datalink.conf counts.
  uint32_t serial = 0;
  // delete-iptun -r began: what stands on the tunnel goes, then the tunnel. A start finishes it.
  bool deleting = false, keep_closed = false;
  LinkProperties properties;
  friend bool operator==(const TunnelRecord&, const TunnelRecord&) = default;
};

struct BrokenLine {  // says nothing that can be relied on, and is kept as it is
  size_t line = 0, column = 0;
  std::string text;
  std::string name;  // of the link that it seems to be about; empty: nobody knows
  uint32_t id = 0;   // its link id, if it has one
  std::string why;
};

struct DatalinkConf {
  std::vector<TunnelRecord> tunnels;
  std::vector<std::string> others;  // lines of other classes of links, kept as they are
  std::vector<BrokenLine> broken;
};

std::string format_datalink_conf(const DatalinkConf& conf);
std::string format_datalink_lines(const DatalinkConf& conf);  // without what is said before the first
// Names of what is read pass tunnel::check_name and are unique, as are link ids. Of two lines about one name neither is
// believed; of two with one id the second is not.
DatalinkConf parse_datalink_conf(std::string_view text);

}  // namespace adit::engine
