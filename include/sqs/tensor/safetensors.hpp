// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The safetensors format: named arrays in one file, without code in it. Read strictly, written atomically and with
/// check sums.

#include <sqs/core/bfloat16.hpp>
#include <sqs/core/file.hpp>
#include <sqs/tensor/json.hpp>
#include <sqs/tensor/tensor.hpp>

#include <algorithm>
#include <map>

namespace sqs {

/// An array as a file holds it: row-major, little-endian bytes. `dtype` is F64, F32, F16, BF16, I64, I32, I16, I8, U64,
/// U32, U16, U8 or BOOL.
struct stored_tensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;
  bool operator==(const stored_tensor&) const = default;
};

/// The content of one safetensors file.
struct safetensors_file {
  std::map<std::string, stored_tensor> tensors;
  std::map<std::string, std::string> metadata; ///< without the library's check sums

  /// The tensor of this name.
  ///
  /// Errors      file_error listing what there is.
  const stored_tensor& at(const std::string& name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      std::string some;
      for (const auto& [other, t] : tensors) {
        if (some.size() < 200) { some += " " + other; }
      }
      raise<file_error>("sqs::safetensors: there is no tensor '", name, "' among ", tensors.size(), ":", some,
                        "; check that the file belongs to this model");
    }
    return found->second;
  }
};

namespace detail {

inline std::size_t dtype_bytes(std::string_view dtype) {
  constexpr std::pair<std::string_view, std::size_t> sizes[] = {
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"I16", 2},
      {"I8", 1},  {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}};
  for (const auto& [name, size] : sizes) {
    if (name == dtype) { return size; }
  }
  return 0;
}
template <class T> constexpr const char* dtype_name() {
  if constexpr (std::is_same_v<T, bool>) { return "BOOL"; }
  if constexpr (std::is_same_v<T, bfloat16>) { return "BF16"; }
  if constexpr (std::is_same_v<T, float16>) { return "F16"; }
  constexpr bool floating = std::is_floating_point_v<T>, sign = std::is_signed_v<T>;
  static_assert((std::is_arithmetic_v<T> && sizeof(T) <= 8) || is_real_number<T>,
                "sqs::safetensors: no dtype for this element type");
  switch (sizeof(T)) {
  case 8:
    return floating ? "F64" : (sign ? "I64" : "U64");
  case 4:
    return floating ? "F32" : (sign ? "I32" : "U32");
  case 2:
    return sign ? "I16" : "U16";
  default:
    return sign ? "I8" : "U8";
  }
}
inline std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string s = "[";
  for (const auto d : shape) { s += (s.size() > 1 ? "," : "") + std::to_string(d); }
  return s + "]";
}
inline std::string hex8(std::uint32_t v) {
  std::string s(8, '0');
  for (std::size_t i = 8; i-- > 0; v >>= 4) { s[i] = "0123456789abcdef"[v & 15]; }
  return s;
}

inline constexpr const char* crc_prefix = "sqs.crc32.";
/// The file's own sum is taken with these eight digits in its place.
inline constexpr std::string_view file_crc_mark = "\"sqs.crc32\":\"";
inline constexpr std::string_view no_crc = "00000000";

/// Where one tensor of a header lies in the data section.
struct safetensors_entry {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

/// Validates one entry of the header against itself; the file's layout is checked over all entries together.
inline safetensors_entry safetensors_header_entry(const byte_reader& in, const std::string& name, const json_value& v,
                                                  const limits& most) {
  in.limit(name.size(), most.name_bytes, "the length of a tensor's name", "name_bytes");
  const json_fields f(v, in.name() + ", tensor '" + name + "'");
  const auto* members = v.as<json_value::object>();
  if (members == nullptr || members->size() != 3) { f.fail("dtype, shape, data_offsets", "are not its three fields"); }
  safetensors_entry e{.name = name, .dtype = f.text("dtype"), .shape = {}};
  std::uint64_t bytes = dtype_bytes(e.dtype);
  if (bytes == 0) { f.fail("dtype", ("is '" + e.dtype.substr(0, 40) + "', which is unknown").c_str()); }
  const auto list = [&](const char* field) {
    const auto* values = f.get(field).as<json_value::array>();
    if (values == nullptr) { f.fail(field, "is not a list"); }
    in.limit(values->size(), most.rank, field, "rank");
    std::vector<std::int64_t> out;
    for (const auto& d : *values) {
      const auto* n = d.as<std::int64_t>();
      if (n == nullptr || *n < 0) { f.fail(field, "holds something else than counts from 0 on"); }
      out.push_back(*n);
    }
    return out;
  };
  e.shape = list("shape");
  for (const auto d : e.shape) { bytes = in.mul(bytes, static_cast<std::uint64_t>(d), "shape"); }
  const auto offsets = list("data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    f.fail("data_offsets", "is not [begin, end] with begin <= end");
  }
  e.begin = static_cast<std::uint64_t>(offsets[0]);
  e.end = static_cast<std::uint64_t>(offsets[1]);
  if (e.end - e.begin != bytes) {
    f.fail(
        "data_offsets",
        concat("spans ", e.end - e.begin, " bytes but ", e.dtype, " ", shape_text(e.shape), " takes ", bytes).c_str());
  }
  return e;
}

/// The entries in file order; together they must fill the data section without holes or overlap, so that no byte is
/// hidden and none is read twice.
inline std::vector<safetensors_entry> safetensors_layout(const byte_reader& in, const json_value& header,
                                                         std::uint64_t data_bytes, const limits& most) {
  const auto* members = header.as<json_value::object>();
  if (members == nullptr) {
    in.fail("the header is ", header.kind(), " instead of an object; this is no safetensors file");
  }
  in.limit(members->size(), most.tensors, "the number of tensors", "tensors");
  std::vector<safetensors_entry> entries;
  for (const auto& [name, v] : *members) {
    if (name != "__metadata__") { entries.push_back(safetensors_header_entry(in, name, v, most)); }
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t reached = 0;
  for (const auto& e : entries) {
    if (e.begin != reached || e.end > data_bytes) {
      in.fail("tensor '", e.name, "' has data_offsets [", e.begin, ", ", e.end, "] where ", reached,
              " was expected in a data section of ", data_bytes,
              " bytes; tensors must lie one after another without holes or overlap: the file is damaged or cut short");
    }
    reached = e.end;
  }
  if (reached != data_bytes) {
    in.fail("the tensors end at byte ", reached, " of a data section of ", data_bytes,
            " bytes; bytes behind the last tensor are not allowed");
  }
  return entries;
}

inline std::map<std::string, std::string> safetensors_metadata(const json_value& header, const byte_reader& in) {
  std::map<std::string, std::string> out;
  const json_value* m = header.find("__metadata__");
  if (m == nullptr) { return out; }
  const auto* members = m->as<json_value::object>();
  if (members == nullptr) { in.fail("__metadata__ is ", m->kind(), " instead of an object; the file is damaged"); }
  for (const auto& [key, v] : *members) {
    const auto* text = v.as<std::string>();
    if (text == nullptr) { in.fail("__metadata__ '", key.substr(0, 80), "' is ", v.kind(), " instead of a string"); }
    out.emplace(key, *text);
  }
  return out;
}

inline void verify_crc(const std::string& file, const std::string& what, const std::string& stored,
                       std::uint32_t found) {
  if (stored != hex8(found)) {
    raise<file_error>("sqs::safetensors: ", file, ": the check sum of ", what, " is ", hex8(found), " but ", stored,
                      " was stored; the file is damaged: use an earlier one (if another program rewrote it, drop its "
                      "sqs.crc32 metadata)");
  }
}

/// Sum of the file with its own sum's digits replaced by zeros.
inline std::uint32_t file_crc(std::string_view head, std::span<const std::byte> data) {
  std::string blank(head);
  const auto at = blank.find(file_crc_mark);
  if (at != std::string::npos) { blank.replace(at + file_crc_mark.size(), no_crc.size(), no_crc); }
  crc32_sum sum;
  sum.add(bytes_of(blank));
  sum.add(data);
  return sum.value();
}

} // namespace detail

/// Decodes a safetensors file held in memory; `name` is its path in messages.
///
/// Errors      file_error naming path, byte, field and value: a header longer than the file or the limit, malformed or
///             duplicate JSON keys, an unknown dtype, shapes whose size does not match their offsets, holes, overlap or
///             bytes behind the last tensor, and check sums (written by `write_safetensors`) that do not match. Nothing
///             is allocated for a tensor before all of this holds. Values are not judged: NaN passes.
/// Source      safetensors format description, version 0.3.
inline safetensors_file decode_safetensors(std::span<const std::byte> file, const std::string& name,
                                           const limits& most = {}) {
  byte_reader in(file, name);
  const auto length = in.read<std::uint64_t>("the header's length");
  in.limit(length, most.header_bytes, "the header's length", "header_bytes");
  const auto head = in.take(length, "the header");
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  const json_value header = parse_json(text, name + ", header", most);
  const auto data = file.subspan(static_cast<std::size_t>(in.offset()));
  const auto entries = detail::safetensors_layout(in, header, data.size(), most);
  safetensors_file out;
  out.metadata = detail::safetensors_metadata(header, in);

  const bool has_sums = out.metadata.contains("sqs.crc32");
  if (const auto sum = out.metadata.find("sqs.crc32"); has_sums) {
    const std::string_view whole(reinterpret_cast<const char*>(file.data()), 8 + head.size());
    detail::verify_crc(name, "the file", sum->second, detail::file_crc(whole, data));
    out.metadata.erase(sum);
  }
  bool has_any_sum = has_sums;
  for (const auto& e : entries) {
    const auto part = data.subspan(static_cast<std::size_t>(e.begin), static_cast<std::size_t>(e.end - e.begin));
    if (const auto sum = out.metadata.find(detail::crc_prefix + e.name); sum != out.metadata.end()) {
      detail::verify_crc(name, "tensor '" + e.name + "'", sum->second, crc32_of(part));
      has_any_sum = true;
      out.metadata.erase(sum);
    }
    out.tensors.emplace(e.name, stored_tensor{e.dtype, e.shape, {part.begin(), part.end()}});
  }
  // A damaged key must not switch the check off: sums of tensors come with the sum of the file, and with the tensors.
  const auto left = out.metadata.lower_bound(detail::crc_prefix);
  if ((left != out.metadata.end() && left->first.starts_with(detail::crc_prefix)) || has_any_sum != has_sums) {
    in.fail("the check sums in __metadata__ are incomplete; the file is damaged: use an earlier one");
  }
  return out;
}
/// `decode_safetensors` of a file.
inline safetensors_file read_safetensors(const std::filesystem::path& path, const limits& most = {}) {
  return decode_safetensors(read_file(path, most), path.string(), most);
}

namespace detail {

/// Length, JSON and padding: everything before the data section. `order` holds the tensors as they will be written.
inline std::string safetensors_head(const safetensors_file& file,
                                    const std::vector<const std::pair<const std::string, stored_tensor>*>& order) {
  std::string json = "{\"__metadata__\":{" + std::string(file_crc_mark) + std::string(no_crc) + "\"";
  for (const auto& [key, value] : file.metadata) { json += "," + json_quoted(key) + ":" + json_quoted(value); }
  for (const auto* t : order) {
    json += "," + json_quoted(crc_prefix + t->first) + ":\"" + hex8(crc32_of(t->second.data)) + "\"";
  }
  json += "}";
  std::uint64_t at = 0;
  for (const auto* t : order) {
    const auto& [name, s] = *t;
    json += "," + json_quoted(name) + ":{\"dtype\":\"" + s.dtype + "\",\"shape\":" + shape_text(s.shape) +
            ",\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + s.data.size()) + "]}";
    at += s.data.size();
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = json.size();
  std::string head(8, '\0');
  std::memcpy(head.data(), &length, 8);
  return head + json;
}

inline void check_storable(const std::string& name, const stored_tensor& t) {
  std::uint64_t bytes = dtype_bytes(t.dtype);
  expects(bytes != 0, "sqs::write_safetensors: tensor '", name, "' has the unknown dtype '", t.dtype,
          "'; use F32, ...");
  for (const auto d : t.shape) {
    expects(d >= 0, "sqs::write_safetensors: tensor '", name, "' has the shape ", shape_text(t.shape),
            "; extents count");
    bytes *= static_cast<std::uint64_t>(d);
  }
  expects(bytes == t.data.size(), "sqs::write_safetensors: tensor '", name, "' has ", t.data.size(), " bytes but ",
          t.dtype, " ", shape_text(t.shape), " takes ", bytes, "; make it with from_tensor");
  expects(name != "__metadata__" && !name.empty(), "sqs::write_safetensors: a tensor cannot be named '", name,
          "'; choose another name");
}

} // namespace detail

/// Writes a safetensors file atomically, with a CRC-32 of every tensor and of the whole file in its metadata.
///
/// Tensors are ordered by element size, largest first, then by name, as the reference implementation does: the data
/// section starts at a multiple of 8, so every tensor is aligned to its element. The same content gives the same bytes.
/// Errors      precondition_error for a tensor whose bytes do not match its shape or metadata keys that start with
///             `sqs.crc32`; file_error as `write_file_atomic`.
inline void write_safetensors(const std::filesystem::path& path, const safetensors_file& file,
                              const file_calls& calls = {}) {
  std::vector<const std::pair<const std::string, stored_tensor>*> order;
  for (const auto& t : file.tensors) {
    detail::check_storable(t.first, t.second);
    order.push_back(&t);
  }
  for (const auto& [key, value] : file.metadata) {
    expects(!key.starts_with("sqs.crc32"), "sqs::write_safetensors: the metadata key '", key,
            "' is reserved for check sums; choose another");
  }
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return detail::dtype_bytes(a->second.dtype) > detail::dtype_bytes(b->second.dtype);
  });
  std::string head = detail::safetensors_head(file, order);
  crc32_sum sum;
  sum.add(bytes_of(head));
  std::vector<std::span<const std::byte>> pieces{{}};
  for (const auto* t : order) {
    sum.add(t->second.data);
    pieces.emplace_back(t->second.data);
  }
  head.replace(head.find(detail::file_crc_mark) + detail::file_crc_mark.size(), 8, detail::hex8(sum.value()));
  pieces[0] = bytes_of(head);
  write_file_atomic(path, std::span<const std::span<const std::byte>>(pieces), calls);
}

/// A copy of a tensor's elements for a file.
template <class T, int Rank> stored_tensor from_tensor(const tensor<T, Rank>& t) {
  stored_tensor s{.dtype = detail::dtype_name<T>(), .shape = {t.shape().begin(), t.shape().end()}, .data = {}};
  const auto bytes = std::as_bytes(t.span());
  s.data.assign(bytes.begin(), bytes.end());
  return s;
}

namespace detail {
/// Numbers of 16 bits in a type that holds each of them exactly.
template <class T> void widen(const stored_tensor& s, T* to) {
  for (std::size_t i = 0; i < s.data.size() / 2; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, s.data.data() + 2 * i, 2);
    to[i] = s.dtype == "F16" ? float_of_half(bits) : static_cast<float>(std::bit_cast<bfloat16>(bits));
  }
}
} // namespace detail

/// A tensor, with memory of its own, from a file's array. `name` is for messages. F16 and BF16 widen to float and double.
///
/// Errors      file_error if dtype or rank differ: a wrong guess here would reinterpret the bytes.
template <class T, int Rank> tensor<T, Rank> to_tensor(const stored_tensor& s, const std::string& name) {
  const bool widens = std::is_floating_point_v<T> && (s.dtype == "F16" || s.dtype == "BF16");
  if ((s.dtype != detail::dtype_name<T>() && !widens) || s.shape.size() != static_cast<std::size_t>(Rank)) {
    raise<file_error>("sqs::to_tensor: '", name, "' is ", s.dtype, " ", detail::shape_text(s.shape), " but ",
                      detail::dtype_name<T>(), " of rank ", Rank,
                      " was expected; check that the file belongs to this model");
  }
  extents<Rank> e{};
  if constexpr (Rank > 0) { std::copy_n(s.shape.begin(), Rank, e.begin()); }
  auto t = make_tensor<T, Rank>(e);
  expects(static_cast<std::size_t>(t.size()) * (widens ? 2 : sizeof(T)) == s.data.size(), "sqs::to_tensor: '", name,
          "' has ", s.data.size(), " bytes for ", detail::shape_text(s.shape),
          "; make it with from_tensor or a reader");
  if constexpr (std::is_floating_point_v<T>) {
    if (widens) {
      detail::widen(s, t.data());
      return t;
    }
  }
  if (!s.data.empty()) { std::memcpy(t.data(), s.data.data(), s.data.size()); }
  return t;
}

} // namespace sqs
