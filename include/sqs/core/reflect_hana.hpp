// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Makes every reflected type a Boost.Hana `Struct`: `hana::for_each(hana::accessors<M>(), ...)`, `hana::members`,
/// `hana::fold` and the rest work on modules, policies and attribute lists. Host code only; Hana never enters kernels.

#include <sqs/core/reflect.hpp>

#include <boost/hana/accessors.hpp>
#include <boost/hana/first.hpp>
#include <boost/hana/for_each.hpp>
#include <boost/hana/pair.hpp>
#include <boost/hana/second.hpp>
#include <boost/hana/tuple.hpp>

namespace sqs {

/// Reads the member behind a pointer. A named type, because nvcc does not accept the generic lambda.
template <class Pointer> struct member_reader {
  Pointer pointer;
  template <class M> constexpr decltype(auto) operator()(M&& object) const {
    return (static_cast<M&&>(object).*pointer);
  }
};

} // namespace sqs

namespace boost::hana {

/// Hana's customisation point: (name, reader) pairs, names as `const char*`.
template <class M> struct accessors_impl<M, when<sqs::reflected<M>>> {
  static constexpr auto apply() {
    return M::sqs_fields([](auto... fields) {
      return make_tuple(make_pair(fields.name, sqs::member_reader<decltype(fields.pointer)>{fields.pointer})...);
    });
  }
};

} // namespace boost::hana
