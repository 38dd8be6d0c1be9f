// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the tests of the readers share: files as bytes, and the ways in which files go bad.

#include "readers.hpp"

#include <sqs/core/random.hpp>

#include <gtest/gtest.h>

namespace sqs_fuzz {

using file_bytes = std::vector<std::byte>;

inline file_bytes text(const std::string& s) {
  const auto b = sqs::bytes_of(s);
  return {b.begin(), b.end()};
}

struct reader {
  const char* name;
  bool (*run)(bytes);
  std::vector<file_bytes> valid;
  int mutations = 4000; ///< fewer where one takes milliseconds
};

/// One of the ways a file goes bad: flipped bits, a word of extreme value, a cut, a repeated piece, a digit changed.
inline file_bytes mutated(file_bytes f, const sqs::random_stream& r) {
  const auto pick = [&](sqs::idx i, std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(r.bits(i) % n); };
  const std::size_t changes = 1 + pick(0, 3);
  for (std::size_t c = 0; c < changes && !f.empty(); ++c) {
    const auto base = static_cast<sqs::idx>(10 * c + 1);
    const std::size_t at = pick(base, f.size());
    switch (pick(base + 1, 6)) {
    case 0:
      f[at] ^= static_cast<std::byte>(1 << pick(base + 2, 8));
      break;
    case 1:
      f[at] = static_cast<std::byte>(r.bits(base + 2));
      break;
    case 2: {
      constexpr std::uint64_t extremes[] = {0, ~0ull, 1ull << 63, 1ull << 31, 0x7fffffffull, 0xfffffffcull};
      const std::uint64_t v = extremes[pick(base + 2, 6)];
      std::memcpy(f.data() + at, &v, std::min<std::size_t>(f.size() - at, std::size_t{1} << pick(base + 3, 4)));
      break;
    }
    case 3:
      f.resize(at);
      break;
    case 4: {
      const file_bytes piece(f.begin() + static_cast<std::ptrdiff_t>(at),
                             f.begin() + static_cast<std::ptrdiff_t>(std::min(f.size(), at + 1 + pick(base + 2, 40))));
      f.insert(f.begin() + static_cast<std::ptrdiff_t>(pick(base + 3, f.size())), piece.begin(), piece.end());
      break;
    }
    default:
      for (std::size_t k = 0; k < f.size(); ++k) { // the next digit of a text header
        std::byte& b = f[(at + k) % f.size()];
        if (b >= std::byte{'0'} && b <= std::byte{'9'}) {
          b = static_cast<std::byte>('0' + pick(base + 2, 10));
          break;
        }
      }
    }
  }
  return f;
}

/// Reads the valid files of every reader, and seeded mutations of them.
inline void try_all(const std::vector<reader>& readers) {
  for (const auto& r : readers) {
    SCOPED_TRACE(r.name);
    int accepted = 0;
    for (std::size_t v = 0; v < r.valid.size(); ++v) {
      EXPECT_TRUE(r.run(r.valid[v]));
      for (int m = 0; m < r.mutations; ++m) {
        accepted += r.run(mutated(r.valid[v], sqs::random_stream::of(1, static_cast<int>(v), m)));
      }
    }
    EXPECT_LT(accepted, r.mutations * static_cast<int>(r.valid.size())); // else it would read anything
    EXPECT_FALSE(r.run({}));
    EXPECT_FALSE(r.run(file_bytes(1001)));
  }
}

/// With SQS_FUZZ_CORPUS=<folder>: the valid files and some mutations, one folder per reader, for libFuzzer.
inline void write_seeds(const std::vector<reader>& readers) {
  const char* folder = std::getenv("SQS_FUZZ_CORPUS");
  if (folder == nullptr) { GTEST_SKIP() << "set SQS_FUZZ_CORPUS to a folder to write the seeds there"; }
  for (const auto& r : readers) {
    const auto to = std::filesystem::path(folder) / r.name;
    std::filesystem::create_directories(to);
    for (std::size_t v = 0; v < r.valid.size(); ++v) {
      sqs::write_file_atomic(to / sqs::concat("valid-", v), std::span<const std::byte>(r.valid[v]));
    }
    for (int m = 0; m < 50; ++m) {
      const auto f = mutated(r.valid[0], sqs::random_stream::of(2, m));
      sqs::write_file_atomic(to / sqs::concat("mutated-", m), std::span<const std::byte>(f));
    }
  }
}

} // namespace sqs_fuzz
