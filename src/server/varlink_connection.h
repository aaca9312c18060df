// One varlink client: its requests one at a time, each in its turn; what it sends, leaves half and leaves unread is
// bounded by its seat. Lives as long as a read, a write or a wait of it is under way. Engine thread.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>

#include <asio.hpp>

#include "protocol/varlink/varlink.h"
#include "server/admission.h"
#include "server/patience.h"

namespace adit::protocol {

class VarlinkConnection : public std::enable_shared_from_this<VarlinkConnection> {
 public:
  using Socket = asio::local::stream_protocol::socket;

  // `methods` outlives it.
  VarlinkConnection(Socket socket, const VarlinkMethods& methods, const Caller& caller,
                    std::unique_ptr<Admission::Seat> seat);
  void start() { next(); }
  void close();

 private:
  void read();
  void next();  // the next request that is there whole, in its turn; else what completes it
  void wait_for_more();
  void serve(size_t length);
  // False of these: the connection has to end.
  [[nodiscard]] bool answer_one(std::string_view text);
  [[nodiscard]] bool answer(const std::string& method, const nlohmann::json& parameters, bool oneway);
  [[nodiscard]] bool begin_stream(const VarlinkMethods::Entry& entry, const nlohmann::json& parameters);
  [[nodiscard]] bool reply(const nlohmann::json& message);
  [[nodiscard]] bool queue(const nlohmann::json& message);
  bool emit(const nlohmann::json& part);
  void write();
  void written();

  [[nodiscard]] bool hold(size_t outgoing);
  [[nodiscard]] size_t longest_request() const;

  Socket socket_;
  const VarlinkMethods& methods_;
  const Caller caller_;
  const std::unique_ptr<Admission::Seat> seat_;
  Patience patience_;  // with what it sends
  Patience unread_;    // with its reading
  std::array<char, 16384> chunk_;
  std::string incoming_;
  size_t searched_ = 0;  // of incoming_, without an end in it
  std::deque<std::string> outgoing_;
  size_t waiting_ = 0;  // bytes of outgoing_
  Unsubscribe unsubscribe_;
  bool half_ = false;    // its patience runs for a message's other half
  bool paused_ = false;  // no request before answers are read
  bool closed_ = false;
};

}  // namespace adit::protocol
