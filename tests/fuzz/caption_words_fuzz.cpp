// SPDX-License-Identifier: Apache-2.0
// The words of any text: at the first line break what follows becomes the next caption.
#include "readers.hpp"

#include <sqs/metric/captions.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = std::min(text.find('\n'), size);
  const std::array<std::string_view, 2> lines{text.substr(0, cut), text.substr(cut)};
  for (const auto& words : sqs::metric::detail::tokens_of(lines, sqs::metric::caption_words::ptb)) {
    for (const std::string& w : words) {
      sqs_fuzz::require(!w.empty() && w.find(' ') == w.npos, "a word that is empty or holds a blank");
    }
  }
  return 0;
}
