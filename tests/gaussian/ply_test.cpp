// SPDX-License-Identifier: Apache-2.0
#include <sqs/gaussian/ply.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

sqs::gaussian_cloud example() {
  sqs::gaussian_cloud g;
  for (int i = 0; i < 3; ++i) {
    const auto f = static_cast<float>(i);
    g.means.push_back({f, -f, 2 * f});
    g.log_scales.push_back({-1 - f, -2, -3});
    g.rotations.push_back({0.5f, 0.5f, -0.5f, f});
    g.opacity_logits.push_back(3 - f);
    g.rgb.push_back({0.1f * f, 0.5f, 1});
    g.extra["sem_0"].push_back(7 * f);
  }
  return g;
}
std::vector<std::byte> text(const std::string& s) {
  const auto b = sqs::bytes_of(s);
  return {b.begin(), b.end()};
}
void rejects(const std::vector<std::byte>& file, const std::string& why, const sqs::limits& most = {}) {
  EXPECT_THAT([&] { sqs::decode_ply(file, "g.ply", most); },
              ThrowsMessage<sqs::file_error>(AllOf(HasSubstr("sqs::read: g.ply at byte "), HasSubstr(why))));
}

TEST(ply, round_trip_with_and_without_normals) {
  const auto g = example();
  for (const bool normals : {false, true}) {
    const auto file = sqs::encode_ply(g, {.normals = normals});
    const auto back = sqs::decode_ply(file, "g.ply");
    ASSERT_EQ(back.means.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(back.means[i].z, g.means[i].z);
      EXPECT_EQ(back.log_scales[i].x, g.log_scales[i].x);
      EXPECT_EQ(back.rotations[i].w, g.rotations[i].w);
      EXPECT_EQ(back.rotations[i].z, g.rotations[i].z);
      EXPECT_EQ(back.opacity_logits[i], g.opacity_logits[i]);
      EXPECT_NEAR(back.rgb[i].x, g.rgb[i].x, 1e-6);
    }
    EXPECT_EQ(back.extra, g.extra);
  }
  const auto path = std::filesystem::temp_directory_path() / sqs::concat("sqs_ply_", ::getpid(), ".ply");
  sqs::write_ply(path, g);
  EXPECT_EQ(sqs::read_ply(path).means.size(), 3u);
  std::filesystem::remove(path);
}

TEST(ply, has_the_layout_that_viewers_expect) {
  auto g = example();
  g.extra.clear();
  const auto file = sqs::encode_ply(g);
  const std::string s = sqs::text_of(file);
  const std::string head =
      "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
      "property float z\nproperty float f_dc_0\nproperty float f_dc_1\nproperty float f_dc_2\n"
      "property float opacity\nproperty float scale_0\nproperty float scale_1\nproperty float scale_2\n"
      "property float rot_0\nproperty float rot_1\nproperty float rot_2\nproperty float rot_3\nend_header\n";
  ASSERT_EQ(s.substr(0, head.size()), head);
  ASSERT_EQ(file.size(), head.size() + 3 * 14 * 4);
  std::array<float, 14> second{};
  std::memcpy(second.data(), file.data() + head.size() + 14 * 4, sizeof(second));
  EXPECT_EQ(second[0], 1);
  EXPECT_NEAR(second[3], (0.1 - 0.5) / 0.28209479177387814, 1e-6);
  EXPECT_EQ(second[4], 0);
  EXPECT_EQ(second[6], 2);
  EXPECT_EQ(second[7], -2);
  EXPECT_EQ(second[10], 0.5f);
  const auto with_normals = sqs::text_of(sqs::encode_ply(g, {.normals = true}));
  EXPECT_THAT(
      with_normals,
      HasSubstr("property float z\nproperty float nx\nproperty float ny\nproperty float nz\nproperty float f_dc_0\n"));
}

TEST(ply, no_gaussians_are_a_file_too) { EXPECT_TRUE(sqs::decode_ply(sqs::encode_ply({}), "g").means.empty()); }

TEST(ply, reads_other_number_types_and_orders) {
  std::string s = "ply\nformat binary_little_endian 1.0\ncomment by hand\nelement vertex 1\nproperty double "
                  "opacity\nproperty uchar red\n";
  for (const char* name : sqs::detail::ply_names) {
    if (std::string(name) != "opacity") { s += sqs::concat("property float ", name, "\r\n"); }
  }
  s += "end_header\n";
  const double opacity = 1.5;
  s.append(reinterpret_cast<const char*>(&opacity), 8);
  s += static_cast<char>(200);
  s.append(13 * 4, '\0');
  const auto g = sqs::decode_ply(text(s), "g");
  EXPECT_EQ(g.opacity_logits[0], 1.5f);
  EXPECT_EQ(g.extra.at("red")[0], 200.0f);
  EXPECT_EQ(g.rgb[0].x, 0.5f);
}

TEST(ply, hostile_files_are_refused) { // H6, H7
  const std::string start = "ply\nformat binary_little_endian 1.0\n";
  rejects(text(""), "the header needs 1 bytes");
  rejects(text("plyy\n"), "the first line is not 'ply'");
  rejects(text("ply\nformat\n"), "the second line is not 'format binary_little_endian 1.0'");
  rejects(text("ply\n\n"), "the second line is not");
  rejects(text("ply\nformat ascii 1.0\n"), "convert the file");
  rejects(text(start + "element vertex -1\nproperty float x\nend_header\n"), "an element line is not the single");
  rejects(text(start + "element vertex 99999999999999999999999\nend_header\n"), "an element line is not the single");
  rejects(text(start + "element vertex 4294967296000000000\nproperty double x\nend_header\n"), "does not fit 64 bits");
  rejects(text(start + "element vertex 2147483648\nproperty float x\nend_header\nabcd"),
          "2147483648 vertices of 4 bytes take 8589934592 but 4 follow");
  rejects(text(start + "element vertex 1\nelement face 1\n"), "an element line is not the single");
  rejects(text(start + "element vertex 1\nproperty list uchar int vertex_indices\nend_header\n"),
          "with 5 words is not understood");
  rejects(text(start + "property float x\n"), "with 3 words is not understood");
  rejects(text(start + "element vertex 1\nproperty half x\nend_header\n"), "property 'x' has the type 'half'");
  rejects(text(start + "end_header\n"), "the header has no 'element vertex <count>'");
  rejects(text(start + "element vertex 0\nproperty float x\nproperty float x\nend_header\n"),
          "property 'x' occurs twice");
  rejects(text(start + "element vertex 0\nproperty float x\nend_header\n"), "property 'y' is missing");
  rejects(text(start + std::string(5000, 'c')), "the length of a header line is 4097");
  std::string many = start + "element vertex 0\n";
  for (int i = 0; i < 5000; ++i) { many += sqs::concat("property float p", i, "\n"); }
  rejects(text(many), "the number of properties is 4097, above the limit of 4096; raise limits::properties");
  const auto good = sqs::encode_ply(example());
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_THROW(sqs::decode_ply(std::span(good).first(n), "g"), sqs::file_error) << n;
  }
}

TEST(ply, misuse_is_explained) {
  auto g = example();
  g.rgb.pop_back();
  EXPECT_THAT([&] { sqs::encode_ply(g); }, ThrowsMessage<sqs::precondition_error>(
                                               HasSubstr("3 means, 3 scales, 3 rotations, 3 opacities, 2 colours")));
  g = example();
  g.extra["a b"] = {1, 2, 3};
  EXPECT_THAT([&] { sqs::encode_ply(g); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("the extra property 'a b' with 3 values")));
  g = example();
  g.extra["opacity"] = {1, 2, 3};
  EXPECT_THROW(sqs::encode_ply(g), sqs::precondition_error);
}

} // namespace
