// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Reflection: `SQS_MEMBERS(type, a, b, ...)` lists every data member of an aggregate. It drives optimiser groups,
/// checkpoints, summaries and names. The header knows nothing of Boost.Hana; core/reflect_hana.hpp adds that.

#include <sqs/core/config.hpp>

#include <type_traits>
#include <utility>

// Applies a macro to up to 256 arguments by rescanning (C++20 __VA_OPT__).
#define SQS_DETAIL_PARENS ()
#define SQS_DETAIL_EXPAND(...)                                                                                         \
  SQS_DETAIL_EXPAND3(SQS_DETAIL_EXPAND3(SQS_DETAIL_EXPAND3(SQS_DETAIL_EXPAND3(__VA_ARGS__))))
#define SQS_DETAIL_EXPAND3(...)                                                                                        \
  SQS_DETAIL_EXPAND2(SQS_DETAIL_EXPAND2(SQS_DETAIL_EXPAND2(SQS_DETAIL_EXPAND2(__VA_ARGS__))))
#define SQS_DETAIL_EXPAND2(...)                                                                                        \
  SQS_DETAIL_EXPAND1(SQS_DETAIL_EXPAND1(SQS_DETAIL_EXPAND1(SQS_DETAIL_EXPAND1(__VA_ARGS__))))
#define SQS_DETAIL_EXPAND1(...) __VA_ARGS__
#define SQS_DETAIL_FIELD(name, ...)                                                                                    \
  ::sqs::field{#name, &sqs_self::name} __VA_OPT__(, SQS_DETAIL_FIELD_AGAIN SQS_DETAIL_PARENS(__VA_ARGS__))
#define SQS_DETAIL_FIELD_AGAIN() SQS_DETAIL_FIELD

/// Lists every data member of `type`, inside its body. A member left out does not compile once the type is traversed.
#define SQS_MEMBERS(type, ...)                                                                                         \
  using sqs_self = type;                                                                                               \
  template <class SqsVisitor> static constexpr decltype(auto) sqs_fields(SqsVisitor&& sqs_visitor) {                   \
    return sqs_visitor(__VA_OPT__(SQS_DETAIL_EXPAND(SQS_DETAIL_FIELD(__VA_ARGS__))));                                  \
  }

namespace sqs {

/// A data member: its name and the pointer to it.
template <class Pointer> struct field {
  const char* name;
  Pointer pointer;
};
template <class Pointer> field(const char*, Pointer) -> field<Pointer>;

namespace detail {
struct probe_visitor {
  template <class... F> constexpr int operator()(F...) const { return static_cast<int>(sizeof...(F)); }
};
struct converts_to_anything {
  template <class T> operator T() const; // never defined: only asked about
};
template <class T, std::size_t... I> constexpr bool initialises(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), converts_to_anything{})...}; };
}
template <class T, std::size_t N = 24> constexpr int count_members() {
  if constexpr (N == 0 || initialises<T>(std::make_index_sequence<N>{})) {
    return static_cast<int>(N);
  } else {
    return count_members<T, N - 1>();
  }
}
} // namespace detail

/// A type with an SQS_MEMBERS line.
template <class T>
concept reflected = requires {
  std::remove_cvref_t<T>::sqs_fields(detail::probe_visitor{});
};

/// How many members an aggregate has, by trying to initialise it (24 at most).
template <class T> inline constexpr int member_count = detail::count_members<T>();

/// Calls `f(name, member)` for every member of a reflected object, in declaration order of SQS_MEMBERS.
template <reflected M, class F> constexpr void for_each_member(M& object, F&& f) {
  using type = std::remove_const_t<M>;
  static_assert(std::is_aggregate_v<type>, "sqs::members: a reflected module must be an aggregate (no constructors, "
                                           "private members or virtual functions); use a make() function instead");
  static_assert(type::sqs_fields(detail::probe_visitor{}) == member_count<type>,
                "sqs::members: SQS_MEMBERS does not list every data member of this module (or more than it has); a "
                "member left out would never be trained or saved: add it to the list");
  type::sqs_fields([&](auto... fields) { (f(fields.name, object.*fields.pointer), ...); });
}

} // namespace sqs
