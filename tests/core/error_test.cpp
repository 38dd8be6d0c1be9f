// SPDX-License-Identifier: Apache-2.0
#include <sqs/core/error.hpp>

#include <filesystem>

#include <gtest/gtest.h>

namespace error_test {

using sqs::concat;

TEST(error, messages_are_what_a_stream_says) {
  const char* pointer = "pointer";
  const char field[8] = "cut\0off"; // ends where a text does
  EXPECT_EQ(concat(), "");
  EXPECT_EQ(concat("a ", std::string("string, "), std::string_view("a view, a "), pointer, ", ", field, '.'),
            "a string, a view, a pointer, cut.");
  EXPECT_EQ(concat(1, ' ', -2L, ' ', 3ull, ' ', true, ' ', 0.5f, ' ', 1e30), "1 -2 3 1 0.5 1e+30");
  EXPECT_EQ(concat(std::filesystem::path("a b")), "\"a b\"");
  std::ostringstream plain;
  plain << 0.1 << 1.0f / 3 << std::size_t{7};
  EXPECT_EQ(concat(0.1, 1.0f / 3, std::size_t{7}), plain.str());
}

TEST(error, says_what_the_caller_joined) {
  const auto message = [](auto&& f) -> std::string {
    try {
      f();
    } catch (const sqs::error& e) { return e.what(); }
    return "no error";
  };
  EXPECT_EQ(message([] { sqs::raise<sqs::file_error>("sqs::x: ", 3, " of ", 4); }), "sqs::x: 3 of 4");
  EXPECT_EQ(message([] { sqs::expects(true, "never ", 1); }), "no error");
  EXPECT_THROW(sqs::expects(false, "at once ", 1), sqs::precondition_error);
}

} // namespace error_test
