// The engine's concerns as varlink methods: each function adds one interface, io.adit.NAME, to the registry.
#pragma once

#include <asio.hpp>

#include "engine/engine.h"
#include "protocol/varlink.h"

namespace adit::protocol {

// Before the server starts: whatever a method that writes does to tunnels stands in the notes of its answer.
void tell_consequences(VarlinkMethods& methods, engine::Engine& engine);

void add_link_methods(VarlinkMethods& methods, engine::Engine& engine);   // io.adit.links: dladm
void add_guard_methods(VarlinkMethods& methods, engine::Engine& engine);  // io.adit.guard: what is closed, what tried
void add_policy_methods(VarlinkMethods& methods,
                        engine::Engine& engine);  // io.adit.policy: the files and what is in force
void add_event_methods(VarlinkMethods& methods, engine::Engine& engine);  // io.adit.events: monitor
void add_explain_methods(VarlinkMethods& methods,
                         engine::Engine& engine);  // io.adit.explain: why a packet leaves or not
// io.adit.trace: live packets. `io` outlives the methods.
void add_trace_methods(VarlinkMethods& methods, engine::Engine& engine, asio::io_context& io);

}  // namespace adit::protocol
