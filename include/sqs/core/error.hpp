// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Errors. Every message reads `sqs::<where>: <what, with the values>; <how to fix it>`.

#include <sqs/core/config.hpp>

#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>

#if defined(SQS_NO_EXCEPTIONS)
#include <cstdio>
#include <cstdlib>
#endif

namespace sqs {

/// Base of everything the library throws.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The caller passed something the documentation excludes.
struct precondition_error : error {
  using error::error;
};
/// A file is missing, unreadable, malformed or cannot be written. The message names the path.
struct file_error : error {
  using error::error;
};
/// A loss, parameter or gradient stopped being finite.
struct nonfinite_error : error {
  using error::error;
};

namespace detail {
/// Something to be written to a message. Its type is known to `write` alone, so that the stream around it is compiled once
/// and not for every combination of types.
struct message_part {
  const void* value;
  void (*write)(std::ostream& out, const void* value);
};
template <class T> message_part part_of(const T& value) {
  return {&value, [](std::ostream& out, const void* v) { out << *static_cast<const T*>(v); }};
}
template <std::size_t N> message_part part_of(const char (&text)[N]) { // one for literals of all lengths
  return {text, [](std::ostream& out, const void* v) { out << static_cast<const char*>(v); }};
}
inline std::string joined(std::initializer_list<message_part> parts) {
  std::ostringstream out;
  for (const auto& p : parts) { p.write(out, p.value); }
  return out.str();
}
} // namespace detail

/// Joins its arguments through `operator<<`: the library's only message formatter.
template <class... Parts> std::string concat(const Parts&... parts) {
  return detail::joined({detail::part_of(parts)...});
}

#if defined(SQS_NO_EXCEPTIONS)
/// Called instead of `throw` when SQS_NO_EXCEPTIONS is defined; the host program defines it and must not return.
[[noreturn]] void on_error(const char* message);
#endif

/// Raises `Error` with the joined message: the only place of the library that throws.
template <class Error, class... Parts> [[noreturn]] void raise(const Parts&... parts) {
#if defined(SQS_NO_EXCEPTIONS)
  on_error(concat(parts...).c_str());
#else
  throw Error(concat(parts...));
#endif
}

/// Checks a precondition of a public function; always on. The message is built only on failure.
///
/// Errors      precondition_error with the joined `parts`.
/// Cost        one branch.
template <class... Parts> inline void expects(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]] { raise<precondition_error>(parts...); }
}

} // namespace sqs
