// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// NumPy's .npy format: one array.

#include <sqs/tensor/safetensors.hpp>

#include <charconv>

namespace sqs {

namespace detail {

inline constexpr std::pair<std::string_view, std::string_view> npy_types[] = {
    {"<f8", "F64"}, {"<f4", "F32"}, {"<f2", "F16"}, {"<i8", "I64"}, {"<i4", "I32"}, {"<i2", "I16"},
    {"|i1", "I8"},  {"<u8", "U64"}, {"<u4", "U32"}, {"<u2", "U16"}, {"|u1", "U8"},  {"|b1", "BOOL"}};

/// The header is a Python dictionary literal with three keys. Reads what NumPy and others write (quotes of either kind,
/// Python 2's long integers), and nothing more of Python.
class npy_header {
public:
  npy_header(std::string_view text, const byte_reader& in, const limits& most) : text_(text), in_(in), most_(most) {}

  stored_tensor parse() {
    expect('{');
    bool seen[3] = {};
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      const int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : 3;
      if (which == 3 || std::exchange(seen[which], true)) {
        in_.fail("header key '", key, "' is unknown or occurs twice", fix);
      }
      if (which == 0) { type(); }
      if (which == 1) { order(); }
      if (which == 2) { shape(); }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip();
    if (at_ != text_.size()) { in_.fail("there is text behind the header's closing brace", fix); }
    if (!seen[0] || !seen[1] || !seen[2]) { in_.fail("the header lacks descr, fortran_order or shape", fix); }
    return std::move(out_);
  }

  /// Whether the first index runs fastest.
  bool columns_first() const { return columns_first_; }

private:
  static constexpr const char* fix = "; the file is damaged or no .npy file";
  void skip() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) { ++at_; }
  }
  bool accept(char c) {
    skip();
    if (at_ < text_.size() && text_[at_] == c) {
      ++at_;
      return true;
    }
    return false;
  }
  void expect(char c) {
    if (!accept(c)) { in_.fail("the header has no '", c, "' at its character ", at_, fix); }
  }
  std::string quoted() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') { expect(quote); }
    const auto end = text_.find(quote, at_);
    if (end == std::string_view::npos || end - at_ > 64) { in_.fail("the header has an endless string", fix); }
    const std::string s(text_.substr(at_, end - at_));
    at_ = end + 1;
    return s;
  }
  void type() {
    skip();
    if (at_ < text_.size() && text_[at_] == '[') {
      in_.fail("descr is a structured type; save plain arrays, one per field");
    }
    const std::string d = quoted();
    const bool one_byte =
        d.size() == 3 && (d[2] == '1') && std::string_view("<>=|").find(d[0]) != std::string_view::npos;
    for (const auto& [numpy, ours] : npy_types) { // an order of bytes says nothing of one byte
      if (d == numpy || (one_byte && numpy.ends_with(std::string_view(d).substr(1)))) { out_.dtype = ours; }
    }
    if (out_.dtype.empty()) {
      in_.fail("descr is '", d, "'; only little-endian numbers and truth values are read: convert with astype");
    }
  }
  void order() {
    skip();
    if (text_.substr(at_, 5) == "False") {
      at_ += 5;
    } else if (text_.substr(at_, 4) == "True") {
      at_ += 4;
      columns_first_ = true;
    } else {
      in_.fail("fortran_order is neither True nor False", fix);
    }
  }
  void shape() {
    expect('(');
    while (!accept(')')) {
      skip();
      std::int64_t n = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), n);
      if (error != std::errc() || n < 0) { in_.fail("shape holds something else than counts from 0 on", fix); }
      at_ = static_cast<std::size_t>(end - text_.data());
      accept('L'); // Python 2
      out_.shape.push_back(n);
      in_.limit(out_.shape.size(), most_.rank, "the number of dimensions", "rank");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  const byte_reader& in_;
  const limits& most_;
  std::size_t at_ = 0;
  bool columns_first_ = false;
  stored_tensor out_;
};

/// Elements whose first index runs fastest, in the order where the last one does.
inline std::vector<std::byte> rows_first(std::span<const std::byte> data, const stored_tensor& t) {
  const std::size_t size = dtype_bytes(t.dtype), rank = t.shape.size();
  std::vector<std::byte> out(data.size());
  std::vector<std::size_t> stride(rank), at(rank, 0);
  std::size_t step = size;
  for (std::size_t d = 0; d < rank; ++d) {
    stride[d] = step;
    step *= static_cast<std::size_t>(t.shape[d]);
  }
  std::size_t from = 0;
  for (std::size_t to = 0; to < out.size(); to += size) {
    std::memcpy(out.data() + to, data.data() + from, size);
    for (std::size_t d = rank; d-- > 0;) { // the next index, last axis first
      from += stride[d];
      if (++at[d] < static_cast<std::size_t>(t.shape[d])) { break; }
      from -= at[d] * stride[d];
      at[d] = 0;
    }
  }
  return out;
}

/// Reads up to the first element; `in` then stands there. Returns dtype and shape without data, and the data's size.
inline std::pair<stored_tensor, std::uint64_t> read_npy_header(byte_reader& in, const limits& most,
                                                               bool* columns_first = nullptr) {
  if (text_of(in.take(6, "the magic")) != "\x93NUMPY") {
    in.fail("it does not start with \\x93NUMPY; this is no .npy file");
  }
  const int major = in.read<std::uint8_t>("the version");
  in.read<std::uint8_t>("the minor version");
  if (major < 1 || major > 3) { in.fail("the format version is ", major, "; versions 1 to 3 are read"); }
  const std::uint64_t length =
      major == 1 ? in.read<std::uint16_t>("the header's length") : in.read<std::uint32_t>("the header's length");
  in.limit(length, most.header_bytes, "the header's length", "header_bytes");
  const std::string text = text_of(in.take(length, "the header"));
  npy_header header(text, in, most);
  stored_tensor t = header.parse();
  if (columns_first != nullptr) { *columns_first = header.columns_first(); }
  std::uint64_t bytes = dtype_bytes(t.dtype);
  for (const auto d : t.shape) { bytes = in.mul(bytes, static_cast<std::uint64_t>(d), "shape"); }
  return {std::move(t), bytes};
}

} // namespace detail

/// Decodes a .npy file held in memory; `name` is its path in messages.
///
/// The elements come out with the last index fastest, also from an array saved in Fortran's order.
/// Errors      file_error naming path, byte, field and value: anything but little-endian numbers or truth values, a
///             shape that does not match the bytes, bytes behind the last element.
/// Source      numpy.lib.format, versions 1.0 to 3.0.
inline stored_tensor decode_npy(std::span<const std::byte> file, const std::string& name, const limits& most = {}) {
  byte_reader in(file, name);
  bool columns_first = false;
  auto [t, bytes] = detail::read_npy_header(in, most, &columns_first);
  if (bytes != in.left()) {
    in.fail(t.dtype, " ", detail::shape_text(t.shape), " takes ", bytes, " bytes but ", in.left(),
            " follow the header; the file is cut short or damaged");
  }
  const auto data = in.take(bytes, "the elements");
  if (columns_first) {
    t.data = detail::rows_first(data, t);
  } else {
    t.data.assign(data.begin(), data.end());
  }
  return t;
}
/// `decode_npy` of a file.
inline stored_tensor read_npy(const std::filesystem::path& path, const limits& most = {}) {
  return decode_npy(read_file(path, most), path.string(), most);
}

/// Encodes a .npy file, version 1.0, elements at a multiple of 64 bytes. BF16 has no NumPy type.
///
/// Errors      precondition_error for a tensor whose bytes do not match its shape, and for BF16.
inline std::vector<std::byte> encode_npy(const stored_tensor& t) {
  detail::check_storable("array", t);
  std::string_view descr;
  for (const auto& [numpy, ours] : detail::npy_types) {
    if (t.dtype == ours) { descr = numpy; }
  }
  expects(!descr.empty(), "sqs::encode_npy: NumPy has no type for ", t.dtype, "; convert to F32 first");
  std::string shape = "(";
  for (const auto d : t.shape) { shape += std::to_string(d) + ", "; }
  if (t.shape.size() > 1) { shape.resize(shape.size() - 2); }
  if (t.shape.size() == 1) { shape.resize(shape.size() - 1); }
  std::string head = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': " + shape + "), }";
  head.resize((head.size() + 11 + 63) / 64 * 64 - 11, ' ');
  head += '\n';
  std::string file = std::string("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(head.size() & 255);
  file += static_cast<char>(head.size() >> 8);
  file += head;
  const auto bytes = bytes_of(file);
  std::vector<std::byte> out(bytes.begin(), bytes.end());
  out.insert(out.end(), t.data.begin(), t.data.end());
  return out;
}
/// Writes a .npy file atomically.
inline void write_npy(const std::filesystem::path& path, const stored_tensor& t) {
  const auto file = encode_npy(t);
  write_file_atomic(path, std::span<const std::byte>(file));
}

} // namespace sqs
