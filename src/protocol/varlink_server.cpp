#include "protocol/varlink_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <deque>

#include "protocol/door.h"
#include "protocol/listener.h"
#include "protocol/varlink_message.h"

namespace adit::protocol {
namespace {

using asio::local::stream_protocol;
using nlohmann::json;

json failure(const std::string& name, json parameters) {
  return {{"error", name}, {"parameters", std::move(parameters)}};
}

json failure(const Error& error) {
  return failure(kVarlinkFailed, {{"code", error.code}, {"text", error.text}});
}

// org.varlink.service, which every varlink peer answers.
json describe_service(const VarlinkMethods& methods) {
  json interfaces = json::array({"org.varlink.service"});
  for (const auto& [name, text] : methods.interfaces()) interfaces.push_back(name);
  return {{"parameters",
           {{"vendor", "Adit"}, {"product", "aditd"}, {"version", "1"}, {"url", ""}, {"interfaces", interfaces}}}};
}

json describe_interface(const VarlinkMethods& methods, const json& parameters) {
  const auto asked = text_parameter(parameters, "interface");
  if (!asked) return failure("org.varlink.service.InvalidParameter", {{"parameter", "interface"}});
  const std::string& name = *asked;
  const auto found = methods.interfaces().find(name);
  if (found == methods.interfaces().end())
    return failure("org.varlink.service.InterfaceNotFound", {{"interface", name}});
  return {{"parameters", {{"description", found->second}}}};
}

// One client. Lives as long as a read, a write or a stream of it is under way.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(stream_protocol::socket socket, const VarlinkMethods& methods, const Caller& caller)
      : socket_(std::move(socket)), methods_(methods), caller_(caller) {}

  void start() { read(); }
  [[nodiscard]] const Caller& caller() const { return caller_; }

  void close() {
    if (closed_) return;
    closed_ = true;
    asio::error_code ignored;
    socket_.close(ignored);
    if (unsubscribe_) std::exchange(unsubscribe_, nullptr)();
  }

 private:
  void read() {
    socket_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](asio::error_code error, size_t count) {
      if (error) return self->close();
      self->incoming_.append(self->chunk_.data(), count);
      if (!self->answer_all()) return self->close();
      self->read();
    });
  }

  // False: the connection has to end.
  bool answer_all() {
    for (size_t end; (end = incoming_.find('\0')) != std::string::npos;) {
      bool stays = true;
      const auto wrong = at_the_door([&] { stays = answer_one(std::string_view(incoming_).substr(0, end)); });
      incoming_.erase(0, end + 1);
      if (wrong) stays = !at_the_door([&] { stays = queue(failure(*wrong)); }) && stays;
      if (!stays) return false;
    }
    return incoming_.size() <= kMaxVarlinkMessage;
  }

  bool answer_one(std::string_view text) {
    const auto message = parse_varlink(text);
    if (!message) return false;
    const auto method = message->find("method"), given = message->find("parameters");
    if (method == message->end() || !method->is_string())
      return queue(failure("org.varlink.service.InvalidParameter", {{"parameter", "method"}}));
    if (given != message->end() && !given->is_object())
      return queue(failure("org.varlink.service.InvalidParameter", {{"parameter", "parameters"}}));
    static const json kNone = json::object();
    return answer(method->get_ref<const std::string&>(), given == message->end() ? kNone : *given,
                  flag_parameter(*message, "oneway"));
  }

  bool answer(const std::string& name, const json& parameters, bool oneway) {
    if (name == "org.varlink.service.GetInfo") return queue(describe_service(methods_));
    if (name == "org.varlink.service.GetInterfaceDescription") return queue(describe_interface(methods_, parameters));
    const VarlinkMethods::Entry* entry = methods_.find(name);
    if (entry == nullptr) return queue(failure("org.varlink.service.MethodNotFound", {{"method", name}}));
    if (entry->access == Access::write && !caller_.privileged())
      return queue(failure({EPERM, fmt::format("user {} may not call {}; run as root", caller_.uid, name)}));
    if (entry->stream) return begin_stream(*entry, parameters);
    Result<json> result = entry->handler(parameters, caller_);
    if (oneway) return true;
    if (!result) return queue(failure(result.error()));
    json out;
    out["parameters"] = std::move(*result);
    return queue(out);
  }

  bool begin_stream(const VarlinkMethods::Entry& entry, const json& parameters) {
    if (unsubscribe_) return queue(failure({EBUSY, "one streaming call at a time on a connection"}));
    std::weak_ptr<Connection> weak = shared_from_this();
    const auto stream = entry.stream(parameters, caller_, [weak](const json& part) {
      const auto self = weak.lock();
      return self && !self->closed_ && self->emit(part);
    });
    if (!stream) return queue(failure(stream.error()));
    unsubscribe_ = *stream ? *stream : [] {};
    return true;
  }

  // Called from wherever something happens: what goes wrong here is this client's loss and nobody else's.
  bool emit(const json& part) {
    bool stays = false;
    const auto wrong = at_the_door([&] { stays = queue({{"parameters", part}, {"continues", true}}); });
    if (!wrong && stays) return true;
    close();
    return false;
  }

  // False: the client does not read, and what waits for it is over the limit.
  bool queue(const json& message) {
    std::string bytes = message.dump(-1, ' ', false, json::error_handler_t::replace);
    bytes += '\0';
    waiting_ += bytes.size();
    outgoing_.push_back(std::move(bytes));
    if (outgoing_.size() == 1) write();
    return outgoing_.size() == 1 || waiting_ <= kMaxVarlinkMessage;
  }

  void write() {
    asio::async_write(socket_, asio::buffer(outgoing_.front()),
                      [self = shared_from_this()](asio::error_code error, size_t) {
                        if (error) return self->close();
                        self->waiting_ -= self->outgoing_.front().size();
                        self->outgoing_.pop_front();
                        if (!self->outgoing_.empty()) self->write();
                      });
  }

  stream_protocol::socket socket_;
  const VarlinkMethods& methods_;
  Caller caller_;
  std::array<char, 16384> chunk_;
  std::string incoming_;
  std::deque<std::string> outgoing_;
  size_t waiting_ = 0;
  Unsubscribe unsubscribe_;
  bool closed_ = false;
};

}  // namespace

struct VarlinkServer::Impl : std::enable_shared_from_this<VarlinkServer::Impl> {
  Impl(asio::io_context& context, const VarlinkMethods& m) : io(context), methods(m) {}

  void adopt(int fd, const ucred& peer) {
    std::erase_if(connections, [](const auto& weak) { return weak.expired(); });
    const Caller caller{peer.pid, peer.uid, peer.gid};
    if (connections.size() >= kMaxVarlinkClients ||
        (!caller.privileged() && connections_of(peer.uid) >= kMaxVarlinkClientsOfUser)) {
      ::close(fd);
      return;
    }
    bound_send_buffer(fd);
    const auto connection =
        std::make_shared<Connection>(stream_protocol::socket(io, stream_protocol(), fd), methods, caller);
    connections.push_back(connection);
    connection->start();
  }

  [[nodiscard]] size_t connections_of(uid_t user) const {
    size_t count = 0;
    for (const auto& weak : connections)
      if (const auto connection = weak.lock(); connection && connection->caller().uid == user) ++count;
    return count;
  }

  asio::io_context& io;
  const VarlinkMethods& methods;
  std::shared_ptr<Listener> listener;
  std::vector<std::weak_ptr<Connection>> connections;
};

VarlinkServer::VarlinkServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

VarlinkServer::~VarlinkServer() {
  impl_->listener->close();
  for (const auto& weak : impl_->connections)
    if (const auto connection = weak.lock()) connection->close();
}

Result<std::unique_ptr<VarlinkServer>> VarlinkServer::listen(asio::io_context& io, const std::string& path,
                                                             const VarlinkMethods& methods, mode_t mode) {
  auto impl = std::make_shared<Impl>(io, methods);
  const auto adopt = [weak = std::weak_ptr(impl)](int fd, const ucred& peer) {
    if (const auto self = weak.lock()) self->adopt(fd, peer);
  };
  TRY_ASSIGN(impl->listener, Listener::open(io, path, SOCK_STREAM, mode, adopt));
  return std::unique_ptr<VarlinkServer>(new VarlinkServer(std::move(impl)));
}

}  // namespace adit::protocol
