// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The bounded reader every file format goes through. A size that comes from a file is never used before it has been
/// checked against the bytes that are there, and no arithmetic on it can wrap.

#include <sqs/core/error.hpp>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sqs {

static_assert(std::endian::native == std::endian::little, "sqs: file formats are read on little-endian machines only");

/// What a reader accepts at most. Real files stay far below; an error names the field to raise.
struct limits {
  std::uint64_t file_bytes = std::uint64_t{16} << 30; ///< of a file read as a whole
  std::uint64_t header_bytes = 100'000'000;           ///< of a safetensors, npy, zip or PLY header
  std::uint64_t tensors = 65'536;                     ///< entries of one container
  std::uint64_t rank = 8;                             ///< dimensions of one array
  std::uint64_t name_bytes = 512;                     ///< of one name or path component
  std::uint64_t json_depth = 32;                      ///< nested arrays and objects
  std::uint64_t image_pixels = std::uint64_t{64} << 20;
  std::uint64_t image_scans = 100; ///< of a progressive JPEG
  std::uint64_t expansion = 1032;  ///< inflated bytes per deflated byte: deflate's own maximum
  std::uint64_t properties = 4096; ///< of one PLY element
};

/// Reads little-endian values from a span of bytes and raises at the first that is not there.
///
/// `name` is the file's path as shown in messages; the reader does not open it.
/// Errors      file_error naming path, byte offset, field and value.
class byte_reader {
public:
  byte_reader(std::span<const std::byte> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}

  std::uint64_t size() const { return bytes_.size(); }
  std::uint64_t offset() const { return offset_; }
  std::uint64_t left() const { return bytes_.size() - offset_; }
  const std::string& name() const { return name_; }

  /// The next `n` bytes.
  std::span<const std::byte> take(std::uint64_t n, const char* field) {
    if (n > left()) {
      fail(field, " needs ", n, " bytes but only ", left(), " of ", size(),
           " are left; the file is cut short or its header is wrong");
    }
    const auto part = bytes_.subspan(static_cast<std::size_t>(offset_), static_cast<std::size_t>(n));
    offset_ += n;
    return part;
  }
  /// The next value of an arithmetic type.
  template <class T> T read(const char* field) {
    static_assert(std::is_arithmetic_v<T>);
    const auto part = take(sizeof(T), field);
    T value;
    std::memcpy(&value, part.data(), sizeof(T));
    return value;
  }
  /// The next `n` values. Memory is taken only once the bytes are known to be there.
  template <class T> std::vector<T> read_vector(std::uint64_t n, const char* field) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto part = take(mul(n, sizeof(T), field), field);
    std::vector<T> values(static_cast<std::size_t>(n));
    if (n != 0) { std::memcpy(values.data(), part.data(), part.size()); }
    return values;
  }
  /// Moves to an absolute offset.
  void seek(std::uint64_t to, const char* field) {
    if (to > size()) { fail(field, " points to byte ", to, " of a file of ", size(), " bytes; the file is damaged"); }
    offset_ = to;
  }

  std::uint64_t mul(std::uint64_t a, std::uint64_t b, const char* field) const {
    std::uint64_t r = 0;
    if (__builtin_mul_overflow(a, b, &r)) {
      fail(field, " is ", a, " x ", b, ", which does not fit 64 bits; the file is damaged or hostile");
    }
    return r;
  }
  std::uint64_t add(std::uint64_t a, std::uint64_t b, const char* field) const {
    std::uint64_t r = 0;
    if (__builtin_add_overflow(a, b, &r)) {
      fail(field, " is ", a, " + ", b, ", which does not fit 64 bits; the file is damaged or hostile");
    }
    return r;
  }
  /// `value` as `To`, if it fits.
  template <class To, class From> To narrow(From value, const char* field) const {
    if (!std::in_range<To>(value)) {
      fail(field, " is ", value, ", outside ", +std::numeric_limits<To>::min(), " .. ", +std::numeric_limits<To>::max(),
           "; the file is damaged or hostile");
    }
    return static_cast<To>(value);
  }
  /// Raises unless `value <= most`, naming the member of `limits` to raise.
  void limit(std::uint64_t value, std::uint64_t most, const char* field, const char* member) const {
    if (value > most) {
      fail(field, " is ", value, ", above the limit of ", most, "; raise limits::", member, " if this file is genuine");
    }
  }
  /// Raises file_error: `sqs::read: <path> at byte <offset>: <parts>`.
  template <class... Parts> [[noreturn]] void fail(const Parts&... parts) const {
    raise<file_error>("sqs::read: ", name_, " at byte ", offset_, ": ", parts...);
  }

private:
  std::span<const std::byte> bytes_;
  std::string name_;
  std::uint64_t offset_ = 0;
};

/// The bytes of a string or of a contiguous range of trivially copyable elements.
template <class Range> std::span<const std::byte> bytes_of(const Range& range) {
  return std::as_bytes(std::span(range));
}

/// Text held in bytes, as a string.
inline std::string text_of(std::span<const std::byte> bytes) {
  std::string s(bytes.size(), '\0');
  if (!bytes.empty()) { std::memcpy(s.data(), bytes.data(), bytes.size()); }
  return s;
}

namespace detail {

constexpr std::array<std::array<std::uint32_t, 256>, 8> make_crc32_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) { c = (c & 1) != 0 ? 0xEDB88320u ^ (c >> 1) : c >> 1; }
    t[0][i] = c;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t i = 0; i < 256; ++i) { t[k][i] = t[0][t[k - 1][i] & 255] ^ (t[k - 1][i] >> 8); }
  }
  return t;
}
inline constexpr auto crc32_tables = make_crc32_tables();

} // namespace detail

/// CRC-32 (IEEE 802.3, reflected, as in zip, PNG and gzip) of bytes fed in pieces.
///
/// Cost        8 bytes per step, over tables of 8 KiB made at compile time.
class crc32_sum {
public:
  void add(std::span<const std::byte> bytes) {
    const auto& t = detail::crc32_tables;
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      std::uint32_t low = 0, high = 0;
      std::memcpy(&low, &bytes[i], 4);
      std::memcpy(&high, &bytes[i + 4], 4);
      low ^= state_;
      state_ = t[7][low & 255] ^ t[6][(low >> 8) & 255] ^ t[5][(low >> 16) & 255] ^ t[4][low >> 24] ^ t[3][high & 255] ^
               t[2][(high >> 8) & 255] ^ t[1][(high >> 16) & 255] ^ t[0][high >> 24];
    }
    for (; i < bytes.size(); ++i) {
      state_ = t[0][(state_ ^ std::to_integer<std::uint32_t>(bytes[i])) & 255] ^ (state_ >> 8);
    }
  }
  std::uint32_t value() const { return ~state_; }

private:
  std::uint32_t state_ = 0xFFFFFFFFu;
};

/// CRC-32 of one span.
inline std::uint32_t crc32_of(std::span<const std::byte> bytes) {
  crc32_sum sum;
  sum.add(bytes);
  return sum.value();
}

} // namespace sqs
