// The engine's concerns as varlink methods: each function adds one interface, io.adit.NAME, to the registry.
#pragma once

#include <asio.hpp>

#include "engine/engine.h"
#include "protocol/varlink/varlink.h"

namespace adit::protocol {

// Before the server starts, for each method that writes: what it does to tunnels stands in the notes of its answer; and
// with a parameter `session`, the address from which its caller's own session comes, it closes nothing that would end
// that session: ECONNABORTED, and nothing was changed.
void care_for_commands(VarlinkMethods& methods, engine::Engine& engine);

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
