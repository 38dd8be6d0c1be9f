// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One function per file reader: any bytes either decode or end in a file_error, and what decodes survives a round
/// trip. Anything else (another exception, a sanitizer report, memory beyond the limits) is a finding.

#include <sqs/data/image_io.hpp>
#include <sqs/data/lidar_file.hpp>
#include <sqs/gaussian/ply.hpp>
#include <sqs/tensor/npz.hpp>

#include <cstdlib>
#include <iostream>

namespace sqs_fuzz {

using bytes = std::span<const std::byte>;

/// Small enough that a finding of "too much memory" shows.
inline sqs::limits tight() {
  sqs::limits l;
  l.file_bytes = std::uint64_t{64} << 20;
  l.header_bytes = 1 << 20;
  l.image_pixels = 1 << 20;
  return l;
}

inline void require(bool holds, const char* what) {
  if (!holds) {
    std::cerr << "finding: " << what << "\n";
    std::abort();
  }
}

/// Runs `read`; a file_error that names the file is the expected end of hostile input.
template <class F> bool survives(F&& read) {
  try {
    read();
    return true;
  } catch (const sqs::file_error& e) {
    require(std::string(e.what()).find("fuzz.bin") != std::string::npos, "a message without the file's name");
    return false;
  }
}

inline bool safetensors(bytes file) {
  return survives([&] {
    const auto f = sqs::decode_safetensors(file, "fuzz.bin", tight());
    for (const auto& [name, t] : f.tensors) {
      if (t.dtype == "F32" && t.shape.size() == 2) { sqs::to_tensor<float, 2>(t, name); }
    }
  });
}
inline bool npy(bytes file) {
  return survives([&] {
    const auto t = sqs::decode_npy(file, "fuzz.bin", tight());
    require(sqs::decode_npy(sqs::encode_npy(t), "again") == t, "npy does not survive a round trip");
  });
}
inline bool npz(bytes file) {
  return survives([&] {
    const auto arrays = sqs::decode_npz(file, "fuzz.bin", tight());
    require(sqs::decode_npz(sqs::encode_npz(arrays), "again") == arrays, "npz does not survive a round trip");
  });
}
inline bool json_table(bytes file) {
  return survives([&] {
    const std::string text = sqs::text_of(file);
    sqs::for_each_record(text, "fuzz.bin", tight(), [](sqs::json_value&& v) {
      const sqs::json_fields f(v, "fuzz.bin");
      f.text("token");
      f.numbers<4>("rotation");
      f.integer("timestamp");
      f.flag("is_key_frame");
    });
  });
}
inline bool lidar(bytes file) {
  return survives([&] {
    const auto sweep = sqs::decode_lidar(file, "fuzz.bin");
    require(sweep.points.size() * 20 == file.size() && sweep.ring.size() == sweep.points.size(), "lost LiDAR points");
  });
}
inline bool jpeg(bytes file) {
  return survives([&] {
    const auto i = sqs::decode_jpeg(file, "fuzz.bin", tight());
    std::uint64_t sum = 0; // touches every pixel
    for (const auto v : i.pixels) { sum += v; }
    require(sum <= 255 * i.pixels.size(), "impossible");
  });
}
inline bool png(bytes file) {
  return survives([&] {
    const auto i = sqs::decode_png(file, "fuzz.bin", tight());
    require(sqs::decode_png(sqs::encode_png(i), "again") == i, "png does not survive a round trip");
  });
}
inline bool ply(bytes file) {
  return survives([&] {
    const auto g = sqs::decode_ply(file, "fuzz.bin", tight());
    const auto again = sqs::encode_ply(g); // bytes: NaN is equal to itself here
    require(sqs::encode_ply(sqs::decode_ply(again, "again")) == again, "ply does not survive a round trip");
  });
}

} // namespace sqs_fuzz

/// Defines the entry point that libFuzzer calls, and the same for the replay program.
#define SQS_FUZZ_TARGET(reader)                                                                                        \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {                                  \
    sqs_fuzz::reader({reinterpret_cast<const std::byte*>(data), size});                                                \
    return 0;                                                                                                          \
  }
