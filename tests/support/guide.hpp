// SPDX-License-Identifier: Apache-2.0
#pragma once
// Holds a page of docs/guide to what a test compiles: its snippets are lines of the test.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

namespace guide {

/// A text with every run of white space as one blank: how lines are broken does not count.
inline std::string words_of(const std::string& text) {
  std::istringstream in(text);
  std::string words;
  for (std::string word; in >> word;) { words += word + " "; }
  return words;
}
inline std::string text_of(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}
/// Expects every C++ block of docs/guide/<page> in tests/<test>, and no fewer than `least` blocks.
inline void expect_shown(const std::string& page, const std::string& test, int least) {
  const std::string tests = SQS_TEST_SOURCE_DIR, text = text_of(tests + "/../docs/guide/" + page);
  const std::string compiled = words_of(text_of(tests + "/" + test));
  int blocks = 0;
  for (std::size_t at = text.find("```cpp\n"); at != std::string::npos; at = text.find("```cpp\n", at)) {
    at += 7;
    const std::string block = text.substr(at, text.find("```", at) - at);
    EXPECT_NE(compiled.find(words_of(block)), std::string::npos) << "not in " << test << ":\n" << block;
    ++blocks;
  }
  EXPECT_GE(blocks, least);
}

} // namespace guide
