// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Whether a PNG file is whole, without its pixels in memory: maps of towns have 400 million of them.

#include <sqs/core/file.hpp>
#include <sqs/tensor/npz.hpp>

namespace sqs::detail {

/// Walks through the chunks of a PNG file: names, lengths, check sums, and as many pixels as the header says.
class png_walk {
public:
  png_walk(const std::filesystem::path& path, const limits& most) : file_("check", path, most, calls_) {}
  png_walk(const png_walk&) = delete;
  png_walk& operator=(const png_walk&) = delete;
  ~png_walk() {
    if (started_) { inflateEnd(&z_); }
  }

  /// Errors      file_error naming path and byte.
  void run() {
    constexpr std::array<unsigned char, 8> mark{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    if (!fill(8) || !std::equal(mark.begin(), mark.end(), buffer_.begin())) { fail("does not begin as a PNG does"); }
    std::string kind = chunk();
    if (kind != "IHDR" || !started_) { fail("does not begin with a header"); }
    while (kind != "IEND") { kind = chunk(); }
    if (rows_left_ != 0) { fail(concat("lacks ", rows_left_, " bytes of its pixels")); }
  }

private:
  [[noreturn]] void fail(const std::string& what) const {
    raise<file_error>("sqs::check: ", file_.name(), " at byte ", at_, " ", what, "; it is cut short or damaged");
  }
  /// The next `n` bytes of the file.
  bool fill(std::size_t n) {
    std::size_t done = 0;
    while (done < n) {
      const auto got = file_.read(buffer_.data() + done, n - done);
      if (got == 0) { return false; }
      done += got;
    }
    at_ += n;
    return true;
  }
  std::uint32_t word(std::size_t i) const {
    return std::uint32_t{buffer_[i]} << 24 | std::uint32_t{buffer_[i + 1]} << 16 | std::uint32_t{buffer_[i + 2]} << 8 |
           buffer_[i + 3];
  }
  /// One chunk; its name.
  std::string chunk() {
    if (!fill(8)) { fail("ends before its last chunk"); }
    std::uint64_t left = word(0);
    const std::string kind(reinterpret_cast<const char*>(buffer_.data()) + 4, 4);
    if (left > 0x7FFFFFFFu) { fail(concat("has a chunk of ", left, " bytes")); }
    const bool header = !started_;
    if (header && (kind != "IHDR" || left != 13)) { fail("does not begin with a header"); }
    auto sum = crc32(0, buffer_.data() + 4, 4);
    while (left > 0) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size()));
      if (!fill(n)) { fail("ends inside a chunk"); }
      sum = crc32(sum, buffer_.data(), static_cast<uInt>(n));
      if (header) { start(); }
      if (kind == "IDAT") { pixels(n); }
      left -= n;
    }
    if (!fill(4) || word(0) != sum) { fail("has a chunk whose check sum is wrong"); }
    return kind;
  }
  /// What the header says: how many bytes the pixels take once they are unpacked.
  void start() {
    const std::uint64_t width = word(0), height = word(4);
    const unsigned depth = buffer_[8], colour = buffer_[9], interlace = buffer_[12];
    constexpr std::array<unsigned, 7> channels{1, 0, 3, 1, 2, 0, 4};
    const unsigned per_pixel = colour < channels.size() ? channels[colour] : 0;
    const bool usual = depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    // More than any map has: pixels a side, and in all, which a small file could claim to hold for hours of unpacking.
    constexpr std::uint64_t most = std::uint64_t{1} << 20, most_pixels = std::uint64_t{1} << 32;
    if (per_pixel == 0 || !usual || interlace > 1 || width == 0 || height == 0 || width > most || height > most ||
        width * height > most_pixels) {
      fail(concat("has a header of ", width, " x ", height, " pixels of kind ", colour, " with ", depth, " bits"));
    }
    const auto bytes = [&](std::uint64_t w, std::uint64_t h) {
      return w == 0 ? 0 : h * (1 + (w * per_pixel * depth + 7) / 8); // one byte says how a row was filtered
    };
    rows_left_ = interlace == 0 ? bytes(width, height) : 0;
    constexpr std::array<std::array<std::uint64_t, 4>, 7> passes{
        // first column and row, step of columns and rows
        {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}};
    for (const auto& [x, y, dx, dy] : passes) {
      if (interlace == 1) { rows_left_ += bytes((width + dx - 1 - x) / dx, (height + dy - 1 - y) / dy); }
    }
    if (inflateInit(&z_) != Z_OK) { fail("cannot be unpacked: memory is exhausted"); }
    started_ = true;
  }
  /// Unpacks a piece of the pixels and counts them.
  void pixels(std::size_t n) {
    z_.next_in = buffer_.data();
    z_.avail_in = static_cast<uInt>(n);
    while (z_.avail_in > 0 && !ended_) {
      z_.next_out = unpacked_.data();
      z_.avail_out = static_cast<uInt>(unpacked_.size());
      const int state = inflate(&z_, Z_NO_FLUSH);
      const auto got = unpacked_.size() - z_.avail_out;
      if ((state != Z_OK && state != Z_STREAM_END) || got > rows_left_) { fail("has pixels that cannot be unpacked"); }
      rows_left_ -= got;
      ended_ = state == Z_STREAM_END;
    }
  }

  file_calls calls_;
  input_file file_;
  std::vector<unsigned char> buffer_ = std::vector<unsigned char>(1 << 16), unpacked_ = buffer_;
  std::uint64_t at_ = 0, rows_left_ = 0; ///< bytes
  z_stream z_{};
  bool started_ = false, ended_ = false;
};

/// Raises unless the file is a whole PNG; if not `all`, unless it begins and ends as one.
inline void require_whole_png(const std::filesystem::path& path, const limits& most, bool all) {
  if (all) {
    png_walk(path, most).run();
    return;
  }
  const file_calls calls;
  const open_file file(calls, path.string(), O_RDONLY | O_NONBLOCK);
  std::array<char, 8> first{}, last{};
  const auto end = file ? ::lseek(file.get(), 0, SEEK_END) : 0;
  const bool read =
      end >= 20 && ::pread(file.get(), first.data(), 8, 0) == 8 && ::pread(file.get(), last.data(), 8, end - 8) == 8;
  if (!read || std::string_view(first.data(), 8) != "\x89PNG\r\n\x1a\n" || std::string_view(last.data(), 4) != "IEND") {
    raise<file_error>("sqs::check: ", path.string(),
                      " does not begin and end as a PNG does; it is empty, cut short or damaged");
  }
}

} // namespace sqs::detail
