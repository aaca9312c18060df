#include "server/varlink_connection.h"

#include <utility>

#include "protocol/varlink/varlink_message.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

constexpr size_t kEnoughUnread = 1 << 20;  // bytes of answers; further requests wait

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
  const auto found = methods.interfaces().find(*asked);
  if (found == methods.interfaces().end())
    return failure("org.varlink.service.InterfaceNotFound", {{"interface", *asked}});
  return {{"parameters", {{"description", found->second}}}};
}

}  // namespace

VarlinkConnection::VarlinkConnection(Socket socket, const VarlinkMethods& methods, const Caller& caller,
                                     std::unique_ptr<Admission::Seat> seat)
    : socket_(std::move(socket)),
      methods_(methods),
      caller_(caller),
      seat_(std::move(seat)),
      patience_(socket_.get_executor()),
      unread_(socket_.get_executor()) {}

void VarlinkConnection::close() {
  if (std::exchange(closed_, true)) return;
  asio::error_code ignored;
  socket_.close(ignored);
  patience_.stop();
  unread_.stop();
  if (unsubscribe_) std::exchange(unsubscribe_, nullptr)();
  seat_->end_stream();
}

size_t VarlinkConnection::longest_request() const {
  return seat_->privileged() ? kMaxVarlinkMessage : seat_->limits().message;
}

bool VarlinkConnection::hold(size_t outgoing) {
  return seat_->hold(Admission::Seat::Kind::traffic, incoming_.capacity() + outgoing);
}

void VarlinkConnection::read() {
  socket_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](asio::error_code error, size_t count) {
    if (error) return self->close();
    const auto wrong = at_the_door([&] { self->incoming_.append(self->chunk_.data(), count); });
    if (wrong || !self->hold(self->waiting_)) return self->close();
    self->next();
  });
}

void VarlinkConnection::next() {
  if (closed_) return;
  const size_t end = incoming_.find('\0', searched_);
  if (std::min(end, incoming_.size()) > longest_request()) return close();
  if (end == std::string::npos) {
    searched_ = incoming_.size();
    wait_for_more();
    return read();
  }
  searched_ = end;
  patience_.stop();
  half_ = false;
  if (waiting_ > kEnoughUnread) {
    paused_ = true;
    return;
  }
  if (const auto wait = seat_->turn_in(); wait > wait.zero())
    return patience_.rest(shared_from_this(), wait, &VarlinkConnection::next);
  serve(end);
}

// The time for a message's other half runs from its first byte, however it drips in. Whoever follows something may be
// silent.
void VarlinkConnection::wait_for_more() {
  if (seat_->privileged() || half_) return;
  half_ = !incoming_.empty();
  if (!half_ && unsubscribe_) return patience_.stop();
  patience_.wait(weak_from_this(), half_ ? seat_->limits().half : seat_->limits().idle, &VarlinkConnection::close);
}

void VarlinkConnection::serve(size_t length) {
  bool stays = false;
  const auto wrong = seat_->serve([&] { stays = answer_one(std::string_view(incoming_).substr(0, length)); });
  if (wrong) (void)at_the_door([&] { stays = reply(failure(*wrong)); });
  if (!stays) return close();
  incoming_.erase(0, length + 1);
  searched_ = 0;
  if (incoming_.empty()) incoming_.shrink_to_fit();
  (void)hold(waiting_);
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->next(); });  // others have their turn first
}

bool VarlinkConnection::answer_one(std::string_view text) {
  const auto message = parse_varlink(text);
  if (!message) return false;
  const auto method = message->find("method"), given = message->find("parameters");
  if (method == message->end() || !method->is_string())
    return reply(failure("org.varlink.service.InvalidParameter", {{"parameter", "method"}}));
  if (given != message->end() && !given->is_object())
    return reply(failure("org.varlink.service.InvalidParameter", {{"parameter", "parameters"}}));
  const json none = json::object();
  return answer(method->get_ref<const std::string&>(), given == message->end() ? none : *given,
                flag_parameter(*message, "oneway"));
}

bool VarlinkConnection::answer(const std::string& method, const json& parameters, bool oneway) {
  if (method == "org.varlink.service.GetInfo") return reply(describe_service(methods_));
  if (method == "org.varlink.service.GetInterfaceDescription") return reply(describe_interface(methods_, parameters));
  const VarlinkMethods::Entry* entry = methods_.find(method);
  if (entry == nullptr) return reply(failure("org.varlink.service.MethodNotFound", {{"method", method}}));
  if (entry->access == Access::write && !caller_.privileged())
    return reply(failure({EPERM, fmt::format("user {} may not call {}; run as root", caller_.uid, method)}));
  if (entry->stream) return begin_stream(*entry, parameters);
  Result<json> result = methods_.call(*entry, parameters, caller_);
  if (oneway) return true;
  if (!result) return reply(failure(result.error()));
  json out;
  out["parameters"] = std::move(*result);
  return reply(out);
}

bool VarlinkConnection::begin_stream(const VarlinkMethods::Entry& entry, const json& parameters) {
  if (unsubscribe_) return reply(failure({EBUSY, "one streaming call at a time on a connection"}));
  if (!seat_->hold_stream())
    return reply(failure(
        {EBUSY, fmt::format("users without privilege follow enough already, user {} among them", caller_.uid)}));
  std::weak_ptr<VarlinkConnection> weak = shared_from_this();
  const auto stream = entry.stream(parameters, caller_, [weak](const json& part) {
    const auto self = weak.lock();
    return self && !self->closed_ && self->emit(part);
  });
  if (!stream) {
    seat_->end_stream();
    return reply(failure(stream.error()));
  }
  unsubscribe_ = *stream ? *stream : [] {};
  if (closed_) std::exchange(unsubscribe_, nullptr)();  // it did not take what was told at once
  return true;
}

// Called from wherever something happens: what goes wrong here is this client's loss and nobody else's.
bool VarlinkConnection::emit(const json& part) {
  bool stays = false;
  const auto wrong = at_the_door([&] { stays = queue({{"parameters", part}, {"continues", true}}); });
  if (!wrong && stays) return true;
  close();
  return false;
}

bool VarlinkConnection::reply(const json& message) {
  return queue(message) ||
         queue(failure({ENOBUFS, "more answers wait for this user's connections than they may hold: read them first"}));
}

bool VarlinkConnection::queue(const json& message) {
  std::string bytes = message.dump(-1, ' ', false, json::error_handler_t::replace);
  bytes += '\0';
  if (!outgoing_.empty() && waiting_ + bytes.size() > kMaxVarlinkMessage) return false;
  if (!hold(waiting_ + bytes.size())) return false;
  waiting_ += bytes.size();
  outgoing_.push_back(std::move(bytes));
  if (outgoing_.size() == 1) write();
  return true;
}

void VarlinkConnection::write() {
  if (!seat_->privileged()) unread_.wait(weak_from_this(), seat_->limits().unread, &VarlinkConnection::close);
  asio::async_write(socket_, asio::buffer(outgoing_.front()),
                    [self = shared_from_this()](asio::error_code error, size_t) {
                      if (error) return self->close();
                      self->written();
                    });
}

void VarlinkConnection::written() {
  waiting_ -= outgoing_.front().size();
  outgoing_.pop_front();
  unread_.stop();
  (void)hold(waiting_);
  if (!outgoing_.empty()) write();
  if (waiting_ <= kEnoughUnread && std::exchange(paused_, false)) next();
}

}  // namespace adit::protocol
