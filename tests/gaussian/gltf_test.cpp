// SPDX-License-Identifier: Apache-2.0
// GLB files, read back by a small reader of its own that knows the container and nothing of the writer.
#include "../support/check.hpp"
#include "../support/scratch.hpp"

#include <sqs/gaussian/gltf.hpp>

#include <nlohmann/json.hpp>

namespace gltf_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

/// The JSON and the binary part of a .glb file; every rule of the container is checked on the way.
struct glb {
  nlohmann::json json;
  std::string binary;

  explicit glb(const std::vector<std::byte>& file) {
    const auto word = [&](std::size_t at) {
      std::uint32_t v = 0;
      for (std::size_t k = 0; k < 4; ++k) { v |= std::to_integer<std::uint32_t>(file.at(at + k)) << (8 * k); }
      return v;
    };
    EXPECT_EQ(text_of(std::span(file).first(4)), "glTF");
    EXPECT_EQ(word(4), 2u);
    EXPECT_EQ(word(8), file.size());
    const std::uint32_t json_length = word(12), binary_length = word(20 + json_length);
    EXPECT_EQ(json_length % 4, 0u);
    EXPECT_EQ(binary_length % 4, 0u);
    EXPECT_EQ(text_of(std::span(file).subspan(16, 4)), "JSON");
    EXPECT_EQ(text_of(std::span(file).subspan(24 + json_length, 4)), std::string("BIN\0", 4));
    EXPECT_EQ(28 + json_length + binary_length, file.size());
    json = nlohmann::json::parse(text_of(std::span(file).subspan(20, json_length)));
    binary = text_of(std::span(file).subspan(28 + json_length));
    EXPECT_EQ(json["buffers"].at(0)["byteLength"], binary.size());
  }
  nlohmann::json primitive() const { return json["meshes"].at(0)["primitives"].at(0); }
  /// The numbers of an attribute, and what kind of rows they are.
  std::vector<float> values(const std::string& semantic, const std::string& type, std::size_t columns) const {
    const auto accessor = json["accessors"].at(primitive()["attributes"].at(semantic).get<std::size_t>());
    EXPECT_EQ(accessor["type"], type);
    EXPECT_EQ(accessor["componentType"], 5126);
    const auto view = json["bufferViews"].at(accessor["bufferView"].get<std::size_t>());
    const auto offset = view["byteOffset"].get<std::size_t>(), length = view["byteLength"].get<std::size_t>();
    EXPECT_EQ(offset % 4, 0u);
    EXPECT_LE(offset + length, binary.size());
    std::vector<float> out(accessor["count"].get<std::size_t>() * columns);
    EXPECT_EQ(length, out.size() * 4);
    std::memcpy(out.data(), binary.data() + offset, length);
    return out;
  }
};

gaussian_cloud two(int degree = 0) {
  gaussian_cloud g;
  g.sh_degree = degree;
  g.means = {{1, 2, 3}, {-4, 0.1f, 7}};
  g.log_scales = {{0, std::log(2.0f), std::log(0.25f)}, {-1, -2, -3}};
  g.rotations = {{2, 0, 0, 0}, {1, 2, -2, 4}}; // lengths 2 and 5
  g.opacity_logits = {0, std::log(3.0f)};
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t k = 0; k < 3 * g.coefficients(); ++k) { g.sh.push_back(static_cast<float>(100 * i + k) * 0.01f); }
  }
  return g;
}

TEST(gltf, values_have_the_units_of_the_format) {
  auto g = two();
  g.sh = {0, rgb_to_sh(1.5f), rgb_to_sh(-0.5f), rgb_to_sh(0.02f), 0, 0};
  g.extra["sem_0"] = {0.5f, -2};
  const glb file(encode_gltf(g));
  const auto p = file.primitive();
  EXPECT_EQ(p["mode"], 0);
  EXPECT_EQ(p["attributes"].size(), 7u);
  EXPECT_EQ(file.json["extensionsUsed"], nlohmann::json::parse(R"(["KHR_gaussian_splatting"])"));
  EXPECT_FALSE(file.json.contains("extensionsRequired")); // else other viewers would refuse the file
  const auto& extension = p["extensions"]["KHR_gaussian_splatting"];
  EXPECT_EQ(extension["kernel"], "ellipse");
  EXPECT_EQ(extension["colorSpace"], "srgb_rec709_display");

  EXPECT_EQ(file.values("POSITION", "VEC3", 3), (std::vector<float>{1, 2, 3, -4, 0.1f, 7}));
  const auto scale = file.values("KHR_gaussian_splatting:SCALE", "VEC3", 3);
  EXPECT_FLOAT_EQ(scale[0], 1);
  EXPECT_FLOAT_EQ(scale[1], 2);
  EXPECT_FLOAT_EQ(scale[2], 0.25f);
  EXPECT_FLOAT_EQ(scale[5], 0.049787068f);
  const auto q = file.values("KHR_gaussian_splatting:ROTATION", "VEC4", 4); // x, y, z, w
  EXPECT_EQ(q, (std::vector<float>{0, 0, 0, 1, 0.4f, -0.4f, 0.8f, 0.2f}));
  const auto opacity = file.values("KHR_gaussian_splatting:OPACITY", "SCALAR", 1);
  EXPECT_EQ(opacity[0], 0.5f);
  EXPECT_FLOAT_EQ(opacity[1], 0.75f);
  EXPECT_EQ(file.values("KHR_gaussian_splatting:SH_DEGREE_0_COEF_0", "VEC3", 3), g.sh);
  EXPECT_EQ(file.values("_sem_0", "SCALAR", 1), g.extra["sem_0"]);
  const auto colour = file.values("COLOR_0", "VEC4", 4);
  EXPECT_NEAR(colour[0], 0.21404114, 1e-6); // sRGB 0.5 as light
  EXPECT_EQ(colour[1], 1);
  EXPECT_EQ(colour[2], 0);
  EXPECT_EQ(colour[3], 0.5f);
  EXPECT_NEAR(colour[4], 0.02 / 12.92, 1e-7);

  const auto box = file.json["accessors"].at(0); // of POSITION, exactly the stored floats
  EXPECT_EQ(box["min"], nlohmann::json({-4.0, static_cast<double>(0.1f), 3.0}));
  EXPECT_EQ(box["max"], nlohmann::json({1.0, 2.0, 7.0}));
}

TEST(gltf, a_node_turns_z_up_into_y_up) {
  const auto turned = [](const glb& file, vec3<double> x) {
    const auto r = file.json["nodes"].at(0)["rotation"].get<std::vector<double>>();
    return rotation_matrix(quaternion<double>{r[3], r[0], r[1], r[2]}) * x;
  };
  const glb file(encode_gltf(two()));
  const auto up = turned(file, {0, 0, 1}), ahead = turned(file, {0, 1, 0}), right = turned(file, {1, 0, 0});
  EXPECT_NEAR(up.y, 1, 1e-15);     // glTF: y up,
  EXPECT_NEAR(ahead.z, -1, 1e-15); // a camera looks along -z,
  EXPECT_NEAR(right.x, 1, 1e-15);  // with x to its right
  EXPECT_FALSE(glb(encode_gltf(two(), {.z_up = false})).json["nodes"].at(0).contains("rotation"));
  EXPECT_EQ(glb(encode_gltf(two(), {.name = "my scene"})).json["nodes"].at(0)["name"], "my scene");
}

TEST(gltf, degrees_are_whole) {
  for (int degree = 0; degree <= 3; ++degree) {
    const auto g = two(degree);
    const glb file(encode_gltf(g));
    std::size_t k = 0;
    for (int l = 0; l <= degree; ++l) {
      for (int n = 0; n <= 2 * l; ++n, ++k) {
        const auto c = file.values(concat("KHR_gaussian_splatting:SH_DEGREE_", l, "_COEF_", n), "VEC3", 3);
        for (std::size_t i = 0; i < 2; ++i) {
          for (std::size_t rgb = 0; rgb < 3; ++rgb) { EXPECT_EQ(c[3 * i + rgb], g.sh_of(i)[3 * k + rgb]); }
        }
      }
    }
    EXPECT_EQ(file.primitive()["attributes"].size(), 5 + k);
  }
}

TEST(gltf, what_it_cannot_hold_is_refused_before_writing) {
  const auto refused = [](auto&& change) {
    auto g = two();
    g.extra["sem_0"] = {0, 0};
    change(g);
    return message_of([&] { encode_gltf(g); });
  };
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(refused([&](auto& g) {
                g.rotations[1] = {0, 0, 0, 0};
              }),
              HasSubstr("sqs::encode_gltf: Gaussian 1 has a rotation with a length of 0; glTF has unit quaternions"));
  EXPECT_THAT(refused([&](auto& g) { g.rotations[1].y = nan; }), HasSubstr("Gaussian 1 has a rotation of nan"));
  EXPECT_THAT(refused([&](auto& g) { g.means[0].z = inf; }), HasSubstr("Gaussian 0 has a mean of inf"));
  EXPECT_THAT(refused([&](auto& g) { g.log_scales[0].x = 89; }), HasSubstr("Gaussian 0 has a log scale of 89"));
  EXPECT_THAT(refused([&](auto& g) { g.log_scales[0].x = nan; }), HasSubstr("Gaussian 0 has a log scale of nan"));
  EXPECT_THAT(refused([&](auto& g) { g.opacity_logits[1] = nan; }),
              HasSubstr("Gaussian 1 has an opacity logit of nan"));
  EXPECT_THAT(refused([&](auto& g) { g.sh[4] = inf; }), HasSubstr("Gaussian 1 has a colour coefficient of inf"));
  EXPECT_THAT(refused([&](auto& g) { g.extra["sem_0"][0] = nan; }), HasSubstr("Gaussian 0 has sem_0 of nan"));
  EXPECT_THAT(refused([&](auto& g) { g.extra["a\"b"] = {0, 0}; }), HasSubstr("cannot name a glTF attribute"));
  EXPECT_THAT(refused([&](auto& g) { g.sh.pop_back(); }), HasSubstr("5 colour coefficients"));
  EXPECT_THAT(message_of([&] { encode_gltf({}); }), HasSubstr("there is no Gaussian"));
  EXPECT_THAT(message_of([&] { encode_gltf(two(4)); }), HasSubstr("degree 4 but KHR_gaussian_splatting ends at 3"));
  EXPECT_THAT(message_of([&] { encode_gltf(two(), {.name = "a\"b"}); }), HasSubstr("cannot name the node"));
  // Limits of the logit and a scale of zero are numbers of the format.
  EXPECT_EQ(refused([&](auto& g) { g.opacity_logits = {inf, -inf}, g.log_scales[0].x = -inf; }), "no error");

  const test::scratch_folder folder;
  const auto path = folder / "g.glb";
  auto bad = two();
  bad.rotations[0] = {0, 0, 0, 0};
  EXPECT_NE(message_of([&] { write_gltf(path, bad); }), "no error");
  EXPECT_FALSE(std::filesystem::exists(path));
  write_gltf(path, two());
  EXPECT_EQ(read_file(path), encode_gltf(two()));
}

} // namespace gltf_test
