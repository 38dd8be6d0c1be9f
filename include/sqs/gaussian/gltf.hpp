// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Gaussians as glTF: a binary .glb with the extension KHR_gaussian_splatting, seen as a point cloud by viewers that do
/// not know it.

#include <sqs/core/file.hpp>
#include <sqs/gaussian/cloud.hpp>

#include <limits>

namespace sqs {

struct gltf_options {
  /// The cloud's z is up, as in the reference frame: a node turns it to glTF's y up, so that (x right, y forward, z up)
  /// is seen from behind. False: the cloud is y up already.
  bool z_up = true;
  std::string name = "gaussians"; ///< of the node; letters, digits, blanks, `_`, `-` and `.`
};

namespace detail {

/// The stored value of an sRGB colour as light: what COLOR_0 holds.
inline float linear_from_srgb(float c) { return c <= 0.04045f ? c / 12.92f : std::pow((c + 0.055f) / 1.055f, 2.4f); }

/// One attribute of the points: `columns` floats for each.
struct gltf_attribute {
  std::string semantic;
  std::size_t columns = 0;
  std::vector<float> values;
};

[[noreturn]] inline void bad_gltf_value(std::size_t i, const char* what, double value, const char* fix) {
  raise<precondition_error>("sqs::encode_gltf: Gaussian ", i, " has ", what, " of ", value, "; ", fix);
}

/// Everything of a Gaussian that glTF wants in another form; raises before anything is written.
inline void check_gltf_gaussian(const gaussian_cloud& g, std::size_t i) {
  const auto finite = [i](const char* what, std::initializer_list<float> values) {
    for (const float v : values) {
      if (!std::isfinite(v)) {
        bad_gltf_value(i, what, static_cast<double>(v), "remove the Gaussian: glTF has finite numbers only");
      }
    }
  };
  const auto& s = g.log_scales[i];
  const auto& q = g.rotations[i];
  finite("a mean", {g.means[i].x, g.means[i].y, g.means[i].z});
  for (const float v : {s.x, s.y, s.z}) {
    if (!std::isfinite(std::exp(v)) || std::isnan(v)) {
      bad_gltf_value(i, "a log scale", static_cast<double>(v),
                     "its exponential is no finite float: remove the Gaussian");
    }
  }
  finite("a rotation", {q.w, q.x, q.y, q.z});
  if (std::isnan(g.opacity_logits[i])) {
    bad_gltf_value(i, "an opacity logit", static_cast<double>(g.opacity_logits[i]), "remove the Gaussian");
  }
  for (const float v : g.sh_of(i)) { finite("a colour coefficient", {v}); }
  for (const auto& [name, values] : g.extra) { finite(name.c_str(), {values[i]}); }
  const auto d = static_cast<quaternion<double>>(q);
  const double length = std::sqrt(d.w * d.w + d.x * d.x + d.y * d.y + d.z * d.z);
  if (!(length > 1e-12)) {
    bad_gltf_value(i, "a rotation with a length", length, "glTF has unit quaternions: remove the Gaussian");
  }
}

inline std::vector<gltf_attribute> gltf_attributes(const gaussian_cloud& g) {
  const std::string prefix = "KHR_gaussian_splatting:";
  std::vector<gltf_attribute> out{{"POSITION", 3, {}},
                                  {"COLOR_0", 4, {}},
                                  {prefix + "ROTATION", 4, {}},
                                  {prefix + "SCALE", 3, {}},
                                  {prefix + "OPACITY", 1, {}}};
  for (int degree = 0; degree <= g.sh_degree; ++degree) {
    for (int n = 0; n <= 2 * degree; ++n) { out.push_back({concat(prefix, "SH_DEGREE_", degree, "_COEF_", n), 3, {}}); }
  }
  for (const auto& [name, values] : g.extra) { out.push_back({"_" + name, 1, values}); }
  for (std::size_t i = 0; i < g.size(); ++i) {
    const auto add = [&out](std::size_t attribute, std::initializer_list<float> row) {
      out[attribute].values.insert(out[attribute].values.end(), row);
    };
    const auto q = static_cast<quaternion<float>>(normalized(static_cast<quaternion<double>>(g.rotations[i])));
    const auto& s = g.log_scales[i];
    const float opacity = sigmoid(g.opacity_logits[i]);
    const auto sh = g.sh_of(i);
    const auto seen = [&](std::size_t c) { return linear_from_srgb(std::clamp(sh_to_rgb(sh[c]), 0.0f, 1.0f)); };
    add(0, {g.means[i].x, g.means[i].y, g.means[i].z});
    add(1, {seen(0), seen(1), seen(2), opacity});
    add(2, {q.x, q.y, q.z, q.w});
    add(3, {std::exp(s.x), std::exp(s.y), std::exp(s.z)});
    add(4, {opacity});
    for (std::size_t k = 0; k < g.coefficients(); ++k) { add(5 + k, {sh[3 * k], sh[3 * k + 1], sh[3 * k + 2]}); }
  }
  return out;
}

/// A float as JSON text that reads back as the same float.
inline std::string gltf_number(float v) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", static_cast<double>(v));
  return text;
}
/// The smallest (largest) of each coordinate, which glTF asks for.
inline std::string gltf_extreme(const std::vector<float>& xyz, bool largest) {
  std::string out;
  for (std::size_t c = 0; c < 3; ++c) {
    float v = xyz[c];
    for (std::size_t i = c; i < xyz.size(); i += 3) { v = largest ? std::max(v, xyz[i]) : std::min(v, xyz[i]); }
    out += (c == 0 ? "" : ",") + gltf_number(v);
  }
  return out;
}

inline std::string gltf_json(const std::vector<gltf_attribute>& attributes, std::size_t count, std::size_t bytes,
                             const gltf_options& options) {
  std::string names, accessors, views;
  std::size_t offset = 0;
  for (std::size_t a = 0; a < attributes.size(); ++a) {
    const auto& x = attributes[a];
    const char* const comma = a == 0 ? "" : ",";
    const char* const type = x.columns == 1 ? "SCALAR" : x.columns == 3 ? "VEC3" : "VEC4";
    names += concat(comma, "\"", x.semantic, "\":", a);
    accessors +=
        concat(comma, "{\"bufferView\":", a, ",\"componentType\":5126,\"count\":", count, ",\"type\":\"", type, "\"");
    if (a == 0) {
      accessors += ",\"min\":[" + gltf_extreme(x.values, false) + "],\"max\":[" + gltf_extreme(x.values, true) + "]";
    }
    accessors += "}";
    views += concat(comma, "{\"buffer\":0,\"byteOffset\":", offset, ",\"byteLength\":", 4 * x.values.size(),
                    ",\"target\":34962}");
    offset += 4 * x.values.size();
  }
  // A quarter turn about x: (x, y, z) becomes (x, z, -y).
  const char* const turn = options.z_up ? ",\"rotation\":[-0.7071067811865476,0,0,0.7071067811865476]" : "";
  return concat(R"({"asset":{"version":"2.0","generator":"sqs"},"extensionsUsed":["KHR_gaussian_splatting"],)",
                R"("scene":0,"scenes":[{"nodes":[0]}],"nodes":[{"name":")", options.name, R"(","mesh":0)", turn,
                R"(}],"meshes":[{"primitives":[{"mode":0,"attributes":{)", names,
                R"(},"extensions":{"KHR_gaussian_splatting":{"kernel":"ellipse","colorSpace":"srgb_rec709_display",)",
                R"("projection":"perspective","sortingMethod":"cameraDistance"}}}]}],"accessors":[)", accessors,
                R"(],"bufferViews":[)", views, R"(],"buffers":[{"byteLength":)", bytes, "}]}");
}

} // namespace detail

/// Encodes a .glb file: one POINTS primitive with KHR_gaussian_splatting and, for other viewers, COLOR_0.
///
/// Units       as glTF has them, not as PLY does: scale in metres, opacity in 0 .. 1, rotation (x,y,z,w) of length 1,
///             colour coefficients raw. COLOR_0 is the colour of degree 0 as linear light, with the opacity as alpha.
///             `extra` becomes scalar attributes of the same name after an underscore.
/// Errors      precondition_error before anything is written, naming the Gaussian and the value: numbers that are not
///             finite once activated, a zero quaternion; no Gaussians (glTF cannot say so), degree 4 (see
///             `with_sh_degree`), names that glTF cannot carry, more than 4 GiB.
/// Source      KHR_gaussian_splatting of glTF 2.0. Its viewers differ from our image on purpose: they sort by distance
///             to the camera's centre instead of z and cut each Gaussian at three standard deviations instead of at an
///             alpha of 1/255.
inline std::vector<std::byte> encode_gltf(const gaussian_cloud& g, const gltf_options& options = {}) {
  const auto plain = [](const std::string& s, const char* also) {
    return std::all_of(s.begin(), s.end(), [also](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             std::strchr(also, c) != nullptr;
    });
  };
  check_cloud(g, "sqs::encode_gltf");
  expects(g.size() > 0, "sqs::encode_gltf: there is no Gaussian, and glTF has no empty list; write at least one");
  expects(g.sh_degree <= 3, "sqs::encode_gltf: the colours have degree ", g.sh_degree,
          " but KHR_gaussian_splatting ends at 3; cut them with sqs::with_sh_degree(cloud, 3)");
  expects(options.name.find('\0') == std::string::npos && plain(options.name, " _-."), "sqs::encode_gltf: '",
          options.name, "' cannot name the node; give a name of letters, digits, blanks, '_', '-' and '.'");
  for (const auto& [name, values] : g.extra) {
    expects(!name.empty() && name.find('\0') == std::string::npos && plain(name, "_"),
            "sqs::encode_gltf: the extra property '", name,
            "' cannot name a glTF attribute; give a name of letters, digits and '_'");
  }
  for (std::size_t i = 0; i < g.size(); ++i) { detail::check_gltf_gaussian(g, i); }
  const auto attributes = detail::gltf_attributes(g);
  std::size_t data = 0;
  for (const auto& a : attributes) { data += 4 * a.values.size(); }
  std::string json = detail::gltf_json(attributes, g.size(), data, options);
  json.resize((json.size() + 3) / 4 * 4, ' ');
  const std::uint64_t total = 12 + 8 + json.size() + 8 + data;
  expects(total <= std::numeric_limits<std::uint32_t>::max(), "sqs::encode_gltf: ", g.size(), " Gaussians take ", total,
          " bytes, but a .glb file has at most 4 GiB; write them in parts");
  std::vector<std::byte> out(static_cast<std::size_t>(total));
  std::byte* to = out.data();
  const auto append = [&to](std::span<const std::byte> b) { to = std::copy(b.begin(), b.end(), to); };
  const auto words = [&](std::initializer_list<std::uint64_t> values) {
    for (const auto v : values) {
      const auto word = static_cast<std::uint32_t>(v);
      append(std::as_bytes(std::span(&word, 1)));
    }
  };
  words({0x46546C67u, 2, total, json.size(), 0x4E4F534Au}); // "glTF", version, ..., "JSON"
  append(bytes_of(json));
  words({data, 0x004E4942u}); // "BIN"
  for (const auto& a : attributes) { append(bytes_of(a.values)); }
  return out;
}
/// Writes a .glb file, atomically.
inline void write_gltf(const std::filesystem::path& path, const gaussian_cloud& g, const gltf_options& options = {}) {
  const auto file = encode_gltf(g, options);
  write_file_atomic(path, std::span<const std::byte>(file));
}

} // namespace sqs
