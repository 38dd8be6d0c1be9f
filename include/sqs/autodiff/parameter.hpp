// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Parameters, states, and the traversal of reflected modules that finds them under their dotted names.

#include <sqs/core/reflect.hpp>
#include <sqs/tensor/tensor.hpp>

#include <array>
#include <string>
#include <vector>

namespace sqs {

/// A trained tensor of a module.
///
/// `gradient` is mutable: modules are applied as `const`, and a backward pass adds into it. It has memory of its own
/// and is made by the first backward pass. `trainable = false` records nothing and costs nothing.
template <class T, int Rank> struct parameter {
  tensor<T, Rank> value;
  mutable tensor<T, Rank> gradient;
  bool trainable = true;
};
/// A tensor that is saved with the model but never trained (running statistics).
template <class T, int Rank> struct state { mutable tensor<T, Rank> value; };

template <class X> inline constexpr bool is_parameter = false;
template <class T, int R> inline constexpr bool is_parameter<parameter<T, R>> = true;
template <class X> inline constexpr bool is_state = false;
template <class T, int R> inline constexpr bool is_state<state<T, R>> = true;

namespace detail {
template <class X> inline constexpr bool is_list = false;
template <class M, class A> inline constexpr bool is_list<std::vector<M, A>> = true;
template <class M, std::size_t N> inline constexpr bool is_list<std::array<M, N>> = true;
template <class X> inline constexpr bool is_setting = std::is_arithmetic_v<X> || std::is_enum_v<X>;
template <class X> inline constexpr bool is_setting_type = requires { typename X::sqs_setting; };

template <class Member, class F> void visit_member(const std::string& name, Member& m, F& f);

template <class Module, class F> void visit_module(const std::string& prefix, Module& module, F& f) {
  for_each_member(module, [&](const char* name, auto& member) {
    visit_member(prefix.empty() ? std::string(name) : prefix + '.' + name, member, f);
  });
}
template <class Member, class F> void visit_member(const std::string& name, Member& m, F& f) {
  using type = std::remove_const_t<Member>;
  if constexpr (is_parameter<type> || is_state<type>) {
    f(name, m);
  } else if constexpr (reflected<type>) {
    visit_module(name, m, f);
  } else if constexpr (is_list<type>) {
    if constexpr (!is_setting<typename type::value_type>) {
      for (std::size_t i = 0; i < m.size(); ++i) { visit_member(name + '.' + std::to_string(i), m[i], f); }
    }
  } else {
    static_assert(
        is_setting<type> || is_setting_type<type>,
        "sqs::members: this member is neither a parameter, a state, a module, a list of modules nor a number; "
        "give its type an SQS_MEMBERS line, or mark a plain settings struct with `using sqs_setting = void;`");
  }
}
} // namespace detail

/// Calls `f(dotted_name, parameter_or_state)` for everything a module holds, depth first, in declaration order.
/// Names look like `layers.3.ffn.in.weight`; they are the keys of checkpoints and part of the API.
template <reflected Module, class F> void for_each_tensor(Module& module, F&& f) {
  detail::visit_module({}, module, f);
}

/// Calls `f(dotted_name, parameter)` for the parameters only.
template <reflected Module, class F> void for_each_parameter(Module& module, F&& f) {
  for_each_tensor(module, [&](const std::string& name, auto& p) {
    if constexpr (is_parameter<std::remove_cvref_t<decltype(p)>>) { f(name, p); }
  });
}

/// Number of trained scalars.
template <reflected Module> idx parameter_count(const Module& module) {
  idx n = 0;
  for_each_parameter(module, [&](const std::string&, const auto& p) { n += p.trainable ? p.value.size() : 0; });
  return n;
}

/// Sets every gradient to zero, keeping its memory.
template <reflected Module> void zero_gradients(Module& module) {
  for_each_parameter(module, [](const std::string&, auto& p) { std::fill(p.gradient.begin(), p.gradient.end(), 0); });
}

/// A table of names, shapes and counts.
template <reflected Module> std::string summary(const Module& module) {
  std::string out;
  for_each_tensor(module, [&](const std::string& name, const auto& p) {
    out += name + " [";
    for (std::size_t i = 0; i < p.value.shape().size(); ++i) {
      out += (i ? ", " : "") + std::to_string(p.value.shape()[i]);
    }
    out += "]\n";
  });
  return out + std::to_string(parameter_count(module)) + " trained numbers\n";
}

} // namespace sqs
