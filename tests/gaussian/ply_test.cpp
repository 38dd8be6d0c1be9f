// SPDX-License-Identifier: Apache-2.0
#include "../support/scratch.hpp"

#include <sqs/gaussian/ply.hpp>

#include <sqs/core/random.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ply_test {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Numbers that differ everywhere, so that no two can be swapped unseen.
sqs::gaussian_cloud example(int degree = 0) {
  sqs::gaussian_cloud g;
  g.sh_degree = degree;
  for (int i = 0; i < 3; ++i) {
    const auto f = static_cast<float>(i);
    g.means.push_back({f, -f, 2 * f});
    g.log_scales.push_back({-1 - f, -2, -3});
    g.rotations.push_back({0.5f, 0.5f, -0.5f, f});
    g.opacity_logits.push_back(3 - f);
    for (std::size_t k = 0; k < 3 * g.coefficients(); ++k) {
      g.sh.push_back(0.1f * f + 0.01f * static_cast<float>(k) - 0.3f);
    }
    g.extra["sem_0"].push_back(7 * f);
  }
  return g;
}
template <class T> std::vector<std::uint32_t> bits(const std::vector<T>& values) {
  std::vector<std::uint32_t> out(values.size() * sizeof(T) / 4);
  if (!values.empty()) { std::memcpy(out.data(), values.data(), values.size() * sizeof(T)); }
  return out;
}
void expect_same_bits(const sqs::gaussian_cloud& a, const sqs::gaussian_cloud& b) {
  EXPECT_EQ(bits(a.means), bits(b.means));
  EXPECT_EQ(bits(a.log_scales), bits(b.log_scales));
  EXPECT_EQ(bits(a.rotations), bits(b.rotations));
  EXPECT_EQ(bits(a.opacity_logits), bits(b.opacity_logits));
  EXPECT_EQ(a.sh_degree, b.sh_degree);
  EXPECT_EQ(bits(a.sh), bits(b.sh));
  ASSERT_EQ(a.extra.size(), b.extra.size());
  for (const auto& [name, values] : a.extra) { EXPECT_EQ(bits(values), bits(b.extra.at(name))) << name; }
}
/// Every float pattern is as likely: denormals, infinities, NaN with payloads, -0.
sqs::gaussian_cloud any_bits(int degree, std::size_t n) {
  const auto r = sqs::random_stream::of(5, degree);
  sqs::idx next = 0;
  const auto any = [&] { return std::bit_cast<float>(static_cast<std::uint32_t>(r.bits(next++))); };
  sqs::gaussian_cloud g;
  g.sh_degree = degree;
  for (std::size_t i = 0; i < n; ++i) {
    g.means.push_back({any(), any(), any()});
    g.log_scales.push_back({any(), any(), any()});
    g.rotations.push_back({any(), any(), any(), any()});
    g.opacity_logits.push_back(any());
    for (std::size_t k = 0; k < 3 * g.coefficients(); ++k) { g.sh.push_back(any()); }
    g.extra["a"].push_back(any());
    g.extra["f_rest_x"].push_back(any());
  }
  g.means[0] = {-0.0f, std::bit_cast<float>(0x7fa00001u), std::bit_cast<float>(0xff800000u)}; // signalling NaN, -inf
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

TEST(ply, round_trip_keeps_every_bit) {
  for (int degree = 0; degree <= 4; ++degree) {
    SCOPED_TRACE(degree);
    const auto g = any_bits(degree, 50);
    for (const bool normals : {false, true}) {
      expect_same_bits(g, sqs::decode_ply(sqs::encode_ply(g, {.normals = normals, .frame = "x right"}), "g.ply"));
    }
  }
  const sqs::test::scratch_folder folder;
  const auto path = folder / "g.ply";
  sqs::write_ply(path, example(3));
  expect_same_bits(sqs::read_ply(path), example(3));
}

TEST(ply, the_order_of_properties_does_not_matter) {
  // The same file with its columns turned round by hand.
  const auto g = any_bits(2, 4);
  const auto file = sqs::encode_ply(g);
  const std::string s = sqs::text_of(file);
  const auto body = s.find("end_header\n") + 11;
  std::vector<std::string> lines;
  for (auto at = s.find("property"); at < body - 11;) {
    const auto end = s.find('\n', at);
    lines.push_back(s.substr(at, end + 1 - at));
    at = end + 1;
  }
  ASSERT_EQ(lines.size(), 14u + 24u + 2u);
  std::string turned = s.substr(0, s.find("property"));
  for (auto l = lines.rbegin(); l != lines.rend(); ++l) { turned += *l; }
  turned += "end_header\n";
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t k = lines.size(); k-- > 0;) { turned += s.substr(body + 4 * (i * lines.size() + k), 4); }
  }
  expect_same_bits(sqs::decode_ply(text(turned), "g.ply"), g);
}

TEST(ply, f_rest_lies_colour_after_colour) {
  sqs::gaussian_cloud g = example(1);
  g.sh = std::vector<float>(36, 0.0f);
  for (std::size_t k = 0; k < 4; ++k) { // Gaussian 1: coefficient k has red 10 k, green 10 k + 1, blue 10 k + 2
    for (std::size_t c = 0; c < 3; ++c) { g.sh[12 + 3 * k + c] = static_cast<float>(10 * k + c); }
  }
  g.extra.clear();
  const auto file = sqs::encode_ply(g);
  const auto body = sqs::text_of(file).find("end_header\n") + 11;
  ASSERT_EQ(file.size(), body + 3 * 23 * 4);
  std::array<float, 23> row{};
  std::memcpy(row.data(), file.data() + body + 23 * 4, sizeof(row));
  const std::vector<float> colours(row.begin() + 3, row.begin() + 15);
  EXPECT_EQ(colours, (std::vector<float>{0, 1, 2, 10, 20, 30, 11, 21, 31, 12, 22, 32}));
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
  EXPECT_EQ(second[3], 0.1f - 0.3f);
  EXPECT_EQ(second[4], 0.1f + 0.01f - 0.3f);
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
  EXPECT_EQ(g.sh, std::vector<float>(3, 0.0f));
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
  for (const int count : {1, 3, 8, 10, 27, 44, 48, 71, 73, 108}) {
    std::string s = start + "element vertex 0\n";
    for (const char* name : sqs::detail::ply_names) { s += sqs::concat("property float ", name, "\n"); }
    for (int i = 0; i < count; ++i) { s += sqs::concat("property float f_rest_", i, "\n"); }
    rejects(text(s + "end_header\n"), sqs::concat(count, " properties f_rest_*; spherical harmonics of degree 0 to 4"));
  }
  std::string gap = start + "element vertex 0\n";
  for (const char* name : sqs::detail::ply_names) { gap += sqs::concat("property float ", name, "\n"); }
  for (int i = 1; i < 10; ++i) {
    gap += sqs::concat("property float f_rest_", i == 4 ? "04" : std::to_string(i), "\n");
  }
  rejects(text(gap + "end_header\n"), "property 'f_rest_0' is missing");
  const auto good = sqs::encode_ply(example(1));
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_THROW(sqs::decode_ply(std::span(good).first(n), "g"), sqs::file_error) << n;
  }
}

TEST(ply, misuse_is_explained) {
  auto g = example();
  g.sh.pop_back();
  EXPECT_THAT([&] { sqs::encode_ply(g); },
              ThrowsMessage<sqs::precondition_error>(
                  HasSubstr("3 means, 3 scales, 3 rotations, 3 opacities, 8 colour coefficients; give one of each per "
                            "Gaussian, 3 coefficients at degree 0")));
  g = example();
  g.sh_degree = 5;
  EXPECT_THAT([&] { sqs::encode_ply(g); }, ThrowsMessage<sqs::precondition_error>(HasSubstr("sh_degree is 5; give 0")));
  g = example();
  g.extra["sem_0"].pop_back();
  EXPECT_THAT([&] { sqs::encode_ply(g); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("the extra property 'sem_0' has 2 values for 3")));
  for (const char* name : {"a b", "opacity", "nx", "f_rest_3", "f_rest_77", "", "a\nb"}) {
    g = example();
    g.extra[name] = {1, 2, 3};
    EXPECT_THAT([&] { sqs::encode_ply(g); },
                ThrowsMessage<sqs::precondition_error>(HasSubstr(sqs::concat("'", name, "' cannot name an extra"))));
  }
  EXPECT_THAT([&] { sqs::encode_ply(example(), {.frame = "a\nb"}); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("must be one line")));
  g = example();
  for (int i = 0; g.extra.size() < 4096 - 14; ++i) { g.extra[sqs::concat("e", i)] = {1, 2, 3}; }
  EXPECT_EQ(sqs::decode_ply(sqs::encode_ply(g), "g").extra.size(), 4096u - 14);
  g.extra["one_more"] = {1, 2, 3};
  EXPECT_THAT([&] { sqs::encode_ply(g); }, ThrowsMessage<sqs::precondition_error>(
                                               HasSubstr("make 4097, but readers take at most 4096; write fewer")));
}

} // namespace ply_test
