// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Gaussians as PLY files in the layout every 3D Gaussian splatting viewer reads.

#include <sqs/core/file.hpp>
#include <sqs/core/math.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_map>

namespace sqs {

/// Gaussians on the host, one element per Gaussian in each list.
struct gaussian_cloud {
  std::vector<vec3<float>> means;           ///< metres
  std::vector<vec3<float>> log_scales;      ///< natural logarithm of metres
  std::vector<quaternion<float>> rotations; ///< (w,x,y,z)
  std::vector<float> opacity_logits;
  std::vector<vec3<float>> rgb;                      ///< 0 .. 1
  std::map<std::string, std::vector<float>> extra{}; ///< further named properties, `sem_0` for instance
};

struct ply_options {
  bool normals = false; ///< write nx ny nz = 0 too: 17 properties, which some readers insist on
};

namespace detail {

/// Value of the constant spherical harmonic: rgb = 0.5 + sh_zero * f_dc.
inline constexpr float sh_zero = 0.28209479177387814f;

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

} // namespace detail

/// Encodes a binary little-endian PLY file: x y z [nx ny nz] f_dc_0..2 opacity scale_0..2 rot_0..3, then `extra`, all
//float. /
/// Units       f_dc = (rgb - 0.5) / 0.28209479; opacity stays a logit, scale a logarithm, rot is (w,x,y,z).
/// Errors      precondition_error for lists of different lengths and for an extra name that is empty, taken or has
///             blanks.
/// Source      3D Gaussian Splatting (Kerbl et al. 2023), the reference implementation's `save_ply`.
inline std::vector<std::byte> encode_ply(const gaussian_cloud& g, const ply_options& options = {}) {
  const std::size_t n = g.means.size();
  expects(g.log_scales.size() == n && g.rotations.size() == n && g.opacity_logits.size() == n && g.rgb.size() == n,
          "sqs::encode_ply: ", n, " means, ", g.log_scales.size(), " scales, ", g.rotations.size(), " rotations, ",
          g.opacity_logits.size(), " opacities, ", g.rgb.size(), " colours; give one of each per Gaussian");
  std::string head = concat("ply\nformat binary_little_endian 1.0\nelement vertex ", n, "\n");
  for (std::size_t i = 0; i < detail::ply_names.size(); ++i) {
    if (i == 3 && options.normals) { head += "property float nx\nproperty float ny\nproperty float nz\n"; }
    head += concat("property float ", detail::ply_names[i], "\n");
  }
  for (const auto& [name, values] : g.extra) {
    const bool taken = std::find(detail::ply_names.begin(), detail::ply_names.end(), name) != detail::ply_names.end();
    expects(!name.empty() && name.find_first_of(" \t\r\n") == std::string::npos && !taken && values.size() == n,
            "sqs::encode_ply: the extra property '", name, "' with ", values.size(), " values for ", n,
            " Gaussians; give a new name without blanks and one value each");
    head += concat("property float ", name, "\n");
  }
  head += "end_header\n";
  const std::size_t columns = detail::ply_names.size() + (options.normals ? 3 : 0) + g.extra.size();
  std::vector<float> rows;
  rows.reserve(n * columns);
  for (std::size_t i = 0; i < n; ++i) {
    rows.insert(rows.end(), {g.means[i].x, g.means[i].y, g.means[i].z});
    if (options.normals) { rows.insert(rows.end(), 3, 0.0f); }
    const auto& c = g.rgb[i];
    for (const float v : {c.x, c.y, c.z}) { rows.push_back((v - 0.5f) / detail::sh_zero); }
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

/// Decodes a binary little-endian PLY file of Gaussians held in memory. Properties it does not know become `extra`;
/// normals are dropped.
///
/// Errors      file_error naming path, byte, field and value: another format, list properties, further elements, a
///             missing or repeated property, a vertex count that does not match the bytes.
inline gaussian_cloud decode_ply(std::span<const std::byte> file, const std::string& name, const limits& most = {}) {
  byte_reader in(file, name);
  const auto layout = detail::read_ply_header(in, most);
  std::unordered_map<std::string, const detail::ply_property*> by_name;
  for (const auto& p : layout.properties) {
    if (!by_name.emplace(p.name, &p).second) { in.fail("property '", p.name, "' occurs twice; the file is damaged"); }
  }
  std::array<const detail::ply_property*, detail::ply_names.size()> column{};
  for (std::size_t i = 0; i < column.size(); ++i) {
    const auto found = by_name.find(detail::ply_names[i]);
    if (found == by_name.end()) {
      in.fail("property '", detail::ply_names[i], "' is missing; this is a PLY file, but not one of Gaussians");
    }
    column[i] = found->second;
    by_name.erase(found);
  }
  for (const char* normal : {"nx", "ny", "nz"}) { by_name.erase(normal); }
  const auto data = in.take(layout.vertices * layout.stride, "vertices");
  const auto n = static_cast<std::size_t>(layout.vertices);
  gaussian_cloud g;
  for (const auto& [key, p] : by_name) { g.extra[key].reserve(n); }
  for (std::size_t i = 0; i < n; ++i) {
    const std::byte* vertex = data.data() + i * layout.stride;
    std::array<float, detail::ply_names.size()> v{};
    for (std::size_t k = 0; k < v.size(); ++k) { v[k] = detail::ply_value(vertex, *column[k]); }
    g.means.push_back({v[0], v[1], v[2]});
    g.rgb.push_back({0.5f + detail::sh_zero * v[3], 0.5f + detail::sh_zero * v[4], 0.5f + detail::sh_zero * v[5]});
    g.opacity_logits.push_back(v[6]);
    g.log_scales.push_back({v[7], v[8], v[9]});
    g.rotations.push_back({v[10], v[11], v[12], v[13]});
    for (const auto& [key, p] : by_name) { g.extra[key].push_back(detail::ply_value(vertex, *p)); }
  }
  return g;
}
/// `decode_ply` of a file.
inline gaussian_cloud read_ply(const std::filesystem::path& path, const limits& most = {}) {
  return decode_ply(read_file(path, most), path.string(), most);
}

} // namespace sqs
