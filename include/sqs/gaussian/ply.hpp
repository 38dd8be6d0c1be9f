// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Gaussians as PLY files in the layout every 3D Gaussian splatting viewer reads.

#include <sqs/core/file.hpp>
#include <sqs/gaussian/cloud.hpp>

#include <charconv>

namespace sqs {

struct ply_options {
  bool normals = false;   ///< write nx ny nz = 0 too, which some readers insist on
  std::string frame = ""; ///< named in a comment of the header, "x right, y forward, z up" for instance
};

namespace detail {

/// The properties every file of Gaussians has, besides f_rest_*.
inline constexpr std::array<const char*, 14> ply_names{"x",      "y",       "z",       "f_dc_0",  "f_dc_1",
                                                       "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
                                                       "rot_0",  "rot_1",   "rot_2",   "rot_3"};

/// One scalar property of the vertex element.
struct ply_property {
  std::string name;
  std::size_t offset = 0, size = 0;
  char kind = 'f'; ///< f float, d double, i signed, u unsigned
};

struct ply_layout {
  std::uint64_t vertices = 0;
  std::size_t stride = 0;
  std::vector<ply_property> properties;
};

/// The words of the next header line.
inline std::vector<std::string> ply_line(byte_reader& in, const limits& most) {
  std::vector<std::string> words(1);
  for (std::uint64_t length = 0;; ++length) {
    in.limit(length, 4096, "the length of a header line", "header_bytes");
    in.limit(in.offset(), most.header_bytes, "the header's length", "header_bytes");
    const char c = static_cast<char>(in.read<std::uint8_t>("the header"));
    if (c == '\n') { break; }
    if (c == ' ' || c == '\t' || c == '\r') {
      if (!words.back().empty()) { words.emplace_back(); }
    } else {
      words.back() += c;
    }
  }
  if (words.back().empty()) { words.pop_back(); }
  return words;
}

inline ply_property ply_scalar(const std::string& type, const std::string& name, const byte_reader& in) {
  struct known {
    const char *name, *alias;
    std::size_t size;
    char kind;
  };
  constexpr known types[] = {{"float", "float32", 4, 'f'}, {"double", "float64", 8, 'd'}, {"uchar", "uint8", 1, 'u'},
                             {"char", "int8", 1, 'i'},     {"ushort", "uint16", 2, 'u'},  {"short", "int16", 2, 'i'},
                             {"uint", "uint32", 4, 'u'},   {"int", "int32", 4, 'i'}};
  for (const auto& t : types) {
    if (type == t.name || type == t.alias) { return {.name = name, .size = t.size, .kind = t.kind}; }
  }
  in.fail("property '", name.substr(0, 80), "' has the type '", type.substr(0, 40), "'; only scalar numbers are read");
}

/// Reads up to the first vertex.
inline ply_layout read_ply_header(byte_reader& in, const limits& most) {
  const auto is = [](const std::vector<std::string>& words, std::initializer_list<const char*> wanted) {
    return std::equal(words.begin(), words.end(), wanted.begin(), wanted.end());
  };
  if (!is(ply_line(in, most), {"ply"})) { in.fail("the first line is not 'ply'; this is no PLY file"); }
  if (!is(ply_line(in, most), {"format", "binary_little_endian", "1.0"})) {
    in.fail("the second line is not 'format binary_little_endian 1.0'; convert the file");
  }
  ply_layout layout;
  bool has_vertices = false;
  for (;;) {
    const auto words = ply_line(in, most);
    if (is(words, {"end_header"})) { break; }
    if (words.empty() || words[0] == "comment" || words[0] == "obj_info") { continue; }
    if (words[0] == "element") {
      std::uint64_t count = 0;
      bool is_count = words.size() == 3;
      if (is_count) {
        const char* end = words[2].data() + words[2].size();
        const auto parsed = std::from_chars(words[2].data(), end, count);
        is_count = parsed.ec == std::errc() && parsed.ptr == end;
      }
      if (!is_count || words[1] != "vertex" || has_vertices) {
        in.fail("an element line is not the single 'element vertex <count>' of a Gaussian file");
      }
      layout.vertices = count;
      has_vertices = true;
    } else if (words[0] == "property" && words.size() == 3 && has_vertices) {
      in.limit(words[2].size(), most.name_bytes, "the length of a property's name", "name_bytes");
      in.limit(layout.properties.size() + 1, most.properties, "the number of properties", "properties");
      ply_property p = ply_scalar(words[1], words[2], in);
      p.offset = layout.stride;
      layout.stride += p.size;
      layout.properties.push_back(std::move(p));
    } else {
      in.fail("the header line '", words[0].substr(0, 40), " ...' with ", words.size(),
              " words is not understood; lists and further elements do not occur in Gaussian files");
    }
  }
  if (!has_vertices) { in.fail("the header has no 'element vertex <count>'; this is no file of Gaussians"); }
  const std::uint64_t bytes = in.mul(layout.vertices, layout.stride, "the vertices' size");
  if (bytes != in.left()) {
    in.fail(layout.vertices, " vertices of ", layout.stride, " bytes take ", bytes, " but ", in.left(),
            " follow the header; the file is cut short or damaged");
  }
  return layout;
}

template <class T> float ply_number(const std::byte* at) {
  T v;
  std::memcpy(&v, at, sizeof(T));
  return static_cast<float>(v);
}
inline float ply_value(const std::byte* vertex, const ply_property& p) {
  const std::byte* at = vertex + p.offset;
  switch (p.kind) {
  case 'f':
    return ply_number<float>(at);
  case 'd':
    return ply_number<double>(at);
  case 'u':
    return p.size == 1   ? ply_number<std::uint8_t>(at)
           : p.size == 2 ? ply_number<std::uint16_t>(at)
                         : ply_number<std::uint32_t>(at);
  default:
    return p.size == 1   ? ply_number<std::int8_t>(at)
           : p.size == 2 ? ply_number<std::int16_t>(at)
                         : ply_number<std::int32_t>(at);
  }
}

/// True for the names a cloud's `extra` may not have, because the reader gives them a meaning of their own.
inline bool is_ply_name(const std::string& name) {
  const bool rest =
      name.starts_with("f_rest_") && name.size() > 7 && name.find_first_not_of("0123456789", 7) == std::string::npos;
  return rest || name == "nx" || name == "ny" || name == "nz" ||
         std::find(ply_names.begin(), ply_names.end(), name) != ply_names.end();
}

inline std::string ply_head(const gaussian_cloud& g, const ply_options& options) {
  expects(options.frame.find_first_of("\r\n") == std::string::npos && options.frame.size() < 4000,
          "sqs::encode_ply: the name of the frame must be one line of less than 4000 bytes");
  const std::uint64_t properties =
      ply_names.size() + (options.normals ? 3 : 0) + 3 * (g.coefficients() - 1) + g.extra.size();
  expects(properties <= limits{}.properties, "sqs::encode_ply: ", g.extra.size(), " extra properties make ", properties,
          ", but readers take at most ", limits{}.properties, "; write fewer");
  std::string head = "ply\nformat binary_little_endian 1.0\n";
  if (!options.frame.empty()) { head += "comment frame: " + options.frame + "\n"; }
  head += concat("element vertex ", g.size(), "\n");
  for (std::size_t i = 0; i < ply_names.size(); ++i) {
    if (i == 3 && options.normals) { head += "property float nx\nproperty float ny\nproperty float nz\n"; }
    head += concat("property float ", ply_names[i], "\n");
    if (i != 5) { continue; }
    for (std::size_t r = 0; r < 3 * (g.coefficients() - 1); ++r) { head += concat("property float f_rest_", r, "\n"); }
  }
  for (const auto& [name, values] : g.extra) {
    expects(!name.empty() && name.size() <= 512 && name.find_first_of(" \t\r\n") == std::string::npos &&
                !is_ply_name(name),
            "sqs::encode_ply: '", name, "' cannot name an extra property; give a name of its own, without blanks");
    head += concat("property float ", name, "\n");
  }
  return head + "end_header\n";
}

} // namespace detail

/// Encodes a binary little-endian PLY file: x y z [nx ny nz] f_dc_0..2 f_rest_* opacity scale_0..2 rot_0..3, then
/// `extra`, all float and all as the cloud has them, bit for bit, NaN included.
///
/// Shapes      f_dc is the coefficient of degree 0; f_rest has 0, 9, 24, 45 or 72 numbers for degree 0 .. 4, first all
///             of red, then green, then blue.
/// Units       Opacity is a logit, scale a natural logarithm, rot is (w,x,y,z).
/// Errors      precondition_error for lists of different lengths and for an extra name that is empty, taken or has
///             blanks.
/// Source      3D Gaussian Splatting (Kerbl et al. 2023): the layout its viewers read.
inline std::vector<std::byte> encode_ply(const gaussian_cloud& g, const ply_options& options = {}) {
  check_cloud(g, "sqs::encode_ply");
  const std::string head = detail::ply_head(g, options);
  const std::size_t rest = g.coefficients() - 1;
  std::vector<float> rows;
  rows.reserve(g.size() * (detail::ply_names.size() + 3 * rest + (options.normals ? 3 : 0) + g.extra.size()));
  for (std::size_t i = 0; i < g.size(); ++i) {
    rows.insert(rows.end(), {g.means[i].x, g.means[i].y, g.means[i].z});
    if (options.normals) { rows.insert(rows.end(), 3, 0.0f); }
    const auto sh = g.sh_of(i);
    rows.insert(rows.end(), {sh[0], sh[1], sh[2]});
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t k = 1; k <= rest; ++k) { rows.push_back(sh[3 * k + c]); }
    }
    const auto& q = g.rotations[i];
    const auto& s = g.log_scales[i];
    rows.insert(rows.end(), {g.opacity_logits[i], s.x, s.y, s.z, q.w, q.x, q.y, q.z});
    for (const auto& [name, values] : g.extra) { rows.push_back(values[i]); }
  }
  const auto top = bytes_of(head), data = bytes_of(rows);
  std::vector<std::byte> out(top.begin(), top.end());
  out.insert(out.end(), data.begin(), data.end());
  return out;
}
/// Writes a PLY file atomically.
inline void write_ply(const std::filesystem::path& path, const gaussian_cloud& g, const ply_options& options = {}) {
  const auto file = encode_ply(g, options);
  write_file_atomic(path, std::span<const std::byte>(file));
}

namespace detail {

/// Finds the properties of a Gaussian in a header and takes them out; what is left are the extra ones.
struct ply_columns {
  std::array<const ply_property*, ply_names.size()> fixed{};
  std::vector<const ply_property*> rest; ///< f_rest_0, f_rest_1, ...
  std::map<std::string, const ply_property*> extra;
  int degree = 0;

  ply_columns(const ply_layout& layout, const byte_reader& in) {
    std::size_t rest_count = 0;
    for (const auto& p : layout.properties) {
      if (!extra.emplace(p.name, &p).second) { in.fail("property '", p.name, "' occurs twice; the file is damaged"); }
      rest_count += p.name.starts_with("f_rest_") && is_ply_name(p.name) ? 1 : 0;
    }
    while (degree < 4 && rest_count > 3 * coefficients_above_first()) { ++degree; }
    if (rest_count != 3 * coefficients_above_first()) {
      in.fail(rest_count, " properties f_rest_*; spherical harmonics of degree 0 to 4 have 0, 9, 24, 45 or 72 of them");
    }
    for (std::size_t i = 0; i < fixed.size(); ++i) { fixed[i] = taken(ply_names[i], in); }
    for (std::size_t r = 0; r < rest_count; ++r) { rest.push_back(taken(concat("f_rest_", r), in)); }
    for (const char* normal : {"nx", "ny", "nz"}) { extra.erase(normal); }
  }

private:
  std::size_t coefficients_above_first() const { return static_cast<std::size_t>((degree + 1) * (degree + 1) - 1); }
  const ply_property* taken(const std::string& name, const byte_reader& in) {
    const auto found = extra.find(name);
    if (found == extra.end()) {
      in.fail("property '", name, "' is missing; this is a PLY file, but not one of Gaussians");
    }
    const auto* p = found->second;
    extra.erase(found);
    return p;
  }
};

} // namespace detail

/// Decodes a binary little-endian PLY file of Gaussians held in memory, its properties in any order. Those it does not
/// know become `extra`; normals are dropped. Float properties keep their bits; others are rounded to float.
///
/// Errors      file_error naming path, byte, field and value: another format, list properties, further elements, a
///             missing or repeated property, another number of f_rest_* than 0, 9, 24, 45, 72, a vertex count that does
///             not match the bytes.
inline gaussian_cloud decode_ply(std::span<const std::byte> file, const std::string& name, const limits& most = {}) {
  byte_reader in(file, name);
  const auto layout = detail::read_ply_header(in, most);
  const detail::ply_columns columns(layout, in);
  const auto data = in.take(layout.vertices * layout.stride, "vertices");
  const auto n = static_cast<std::size_t>(layout.vertices);
  gaussian_cloud g;
  g.sh_degree = columns.degree;
  g.means.reserve(n);
  g.log_scales.reserve(n);
  g.rotations.reserve(n);
  g.opacity_logits.reserve(n);
  g.sh.reserve(n * 3 * g.coefficients());
  std::vector<std::pair<std::vector<float>*, const detail::ply_property*>> extra;
  for (const auto& [key, p] : columns.extra) {
    extra.emplace_back(&g.extra[key], p);
    extra.back().first->reserve(n);
  }
  const std::size_t above = columns.rest.size() / 3;
  for (std::size_t i = 0; i < n; ++i) {
    const std::byte* vertex = data.data() + i * layout.stride;
    std::array<float, detail::ply_names.size()> v{};
    for (std::size_t k = 0; k < v.size(); ++k) { v[k] = detail::ply_value(vertex, *columns.fixed[k]); }
    g.means.push_back({v[0], v[1], v[2]});
    g.sh.insert(g.sh.end(), {v[3], v[4], v[5]});
    for (std::size_t k = 0; k < above; ++k) {
      for (std::size_t c = 0; c < 3; ++c) { g.sh.push_back(detail::ply_value(vertex, *columns.rest[c * above + k])); }
    }
    g.opacity_logits.push_back(v[6]);
    g.log_scales.push_back({v[7], v[8], v[9]});
    g.rotations.push_back({v[10], v[11], v[12], v[13]});
    for (const auto& [values, p] : extra) { values->push_back(detail::ply_value(vertex, *p)); }
  }
  return g;
}
/// `decode_ply` of a file.
inline gaussian_cloud read_ply(const std::filesystem::path& path, const limits& most = {}) {
  return decode_ply(read_file(path, most), path.string(), most);
}

} // namespace sqs
