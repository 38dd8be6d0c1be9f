// SPDX-License-Identifier: Apache-2.0
// Pictures of volumes: one voxel is where it belongs and has its colour; PLY files hold what they announce.
#include "../support/check.hpp"
#include "../support/scratch.hpp"

#include <sqs/core/file.hpp>
#include <sqs/pipeline/voxel_ply.hpp>

namespace occupancy_pictures_test {

using namespace sqs;
using namespace sqs::pipeline;
using testing::HasSubstr;

constexpr occupancy_grid tiny{{-5, -5, -1}, {0.5, 0.5, 0.5}, {20, 20, 8}};
occupancy_labels one_voxel(int x, int y, int z, std::uint8_t label) {
  auto o = occupancy_labels::empty(tiny, 17);
  o.semantics[static_cast<std::size_t>(tiny.index(x, y, z))] = label;
  return o;
}
/// Red, green, blue of a pixel.
colour pixel(const image& p, int row, int column) {
  const auto* at = p.at(row, column);
  return {at[0], at[1], at[2]};
}
/// Same hue: the channels keep their proportions.
void expect_shade_of(const colour& have, const colour& want) {
  const auto most = static_cast<std::size_t>(std::max_element(want.begin(), want.end()) - want.begin());
  const double s = double(have[most]) / want[most];
  EXPECT_GT(s, 0.4);
  for (std::size_t k = 0; k < 3; ++k) { EXPECT_NEAR(have[k], s * want[k], 8); }
}

TEST(occupancy_pictures, a_voxel_in_perspective) {
  cpu exec{.threads = 1};
  const auto o = one_voxel(12, 10, 4, 4); // centre (1.25, 0.25, 1.25)
  const auto view = look_at({-8, 0.25, 1.25}, {1.25, 0.25, 1.25}, 60, 80, 40);
  const auto p = occupancy_picture(exec, o, occupancy_palette(), view);
  expect_shade_of(pixel(p, 30, 40), occupancy_class_colours[4]);
  const colour background = pixel(p, 5, 5);
  // Half a metre at 9 m: f = 40 / tan 20 = 110 px; 6 px wide. Outside of it there is nothing.
  EXPECT_NE(pixel(p, 30, 38), background);
  EXPECT_EQ(pixel(p, 30, 34), background);
  EXPECT_EQ(pixel(p, 30, 46), background);
  // Moved to the left (y) and up (z) it moves to the left and up in the picture.
  const auto moved = occupancy_picture(exec, one_voxel(12, 12, 5, 4), occupancy_palette(), view);
  EXPECT_EQ(pixel(moved, 30, 40), background);
  expect_shade_of(pixel(moved, 24, 28), occupancy_class_colours[4]);
}

TEST(occupancy_pictures, the_nearer_voxel_hides_the_other_and_threads_do_not_matter) {
  auto o = one_voxel(12, 10, 4, 4);
  o.semantics[static_cast<std::size_t>(tiny.index(11, 10, 4))] = 16;
  o.semantics[static_cast<std::size_t>(tiny.index(10, 10, 4))] = occupancy_labels::ignore; // not drawn
  const auto view = look_at({-8, 0.25, 1.25}, {1.25, 0.25, 1.25}, 60, 80, 40);
  cpu one{.threads = 1}, three{.threads = 3};
  const auto p = occupancy_picture(one, o, occupancy_palette(), view);
  expect_shade_of(pixel(p, 30, 40), occupancy_class_colours[16]);
  EXPECT_EQ(p, occupancy_picture(three, o, occupancy_palette(), view));
  // From inside the volume, straight down, and with a camera that looks away.
  EXPECT_NO_THROW(occupancy_picture(one, o, occupancy_palette(), look_at({0, 0, 1}, {0, 0, -5}, 20, 20)));
  const auto away = occupancy_picture(one, o, occupancy_palette(), look_at({-8, 0, 1}, {-20, 0, 1}, 10, 10));
  EXPECT_EQ(away, plain_picture(10, 10, {236, 239, 243}));
}

TEST(occupancy_pictures, from_above) {
  auto o = one_voxel(19, 19, 2, 11); // farthest ahead and left: upper left corner
  o.semantics[static_cast<std::size_t>(tiny.index(0, 0, 1))] = 11;
  o.semantics[static_cast<std::size_t>(tiny.index(0, 0, 6))] = 4; // on top of it
  const auto p = occupancy_from_above(o, occupancy_palette(), 2);
  EXPECT_EQ(p.height, 40);
  expect_shade_of(pixel(p, 0, 0), occupancy_class_colours[11]);
  expect_shade_of(pixel(p, 39, 39), occupancy_class_colours[4]);
  EXPECT_EQ(pixel(p, 20, 20), (colour{236, 239, 243}));
}

TEST(occupancy_pictures, flow) {
  EXPECT_EQ(flow_colour({0, 0}), (colour{255, 255, 255}));
  EXPECT_EQ(flow_colour({10, 0})[0], 255); // ahead is red
  EXPECT_LT(flow_colour({10, 0})[1], 80);
  EXPECT_EQ(flow_colour({-10, 0})[0], 0);
  EXPECT_EQ(flow_colour({20, 0}), flow_colour({10, 0}));
  auto o = one_voxel(1, 18, 2, 4);
  EXPECT_THAT(test::message_of([&] { flow_from_above(o); }), HasSubstr("0 flow vectors for 3200 voxels"));
  o.flow.assign(o.semantics.size(), {});
  o.flow[static_cast<std::size_t>(tiny.index(1, 18, 2))] = {10, 0};
  const auto p = flow_from_above(o, 4);
  const auto c = pixel(p, (19 - 1) * 4, (19 - 18) * 4); // far from the wheel
  EXPECT_GT(c[0], c[1] + 100);
  EXPECT_EQ(pixel(p, 79, 0), (colour{250, 250, 250}));
}

TEST(occupancy_pictures, palettes_fit_the_class_lists) {
  EXPECT_EQ(occupancy_palette().size(), occupancy_class_names.size());
  EXPECT_EQ(open_occ_palette().size(), open_occ_class_names.size());
  EXPECT_EQ(open_occ_palette()[0], occupancy_palette()[4]); // car
  EXPECT_EQ(semantic_kitti_palette().size(), semantic_kitti_class_names.size());
  EXPECT_EQ(palette_of(occupancy_labels::empty(semantic_kitti_grid, 0)), semantic_kitti_palette());
  EXPECT_EQ(palette_of(occupancy_labels::empty(occ3d_grid, 16)), open_occ_palette());
}

TEST(occupancy_pictures, ply) {
  auto o = one_voxel(3, 4, 5, 4);
  o.semantics[static_cast<std::size_t>(tiny.index(4, 4, 5))] = 4; // two in a row: ten faces
  const test::scratch_folder folder;
  const std::string path = folder / "voxels.ply";
  write_voxels_ply(path, o, occupancy_palette());
  auto bytes = read_file(path);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_THAT(text, HasSubstr("element vertex 40\n"));
  EXPECT_THAT(text, HasSubstr("element face 10\n"));
  const std::size_t head = text.find("end_header\n") + 11;
  EXPECT_EQ(text.size(), head + 40 * 15 + 10 * 17);
  // Every face looks outwards: its normal and the way from the middle of the two voxels agree.
  const auto vertex = [&](int i) {
    std::array<float, 3> v{};
    std::memcpy(v.data(), text.data() + head + static_cast<std::size_t>(i) * 15, 12);
    return vec3<double>{v[0], v[1], v[2]};
  };
  const vec3<double> middle = 0.5 * (tiny.center(3, 4, 5) + tiny.center(4, 4, 5));
  for (int f = 0; f < 10; ++f) {
    const auto normal = cross(vertex(4 * f + 1) - vertex(4 * f), vertex(4 * f + 2) - vertex(4 * f + 1));
    EXPECT_GT(dot(normal, 0.25 * (vertex(4 * f) + vertex(4 * f + 1) + vertex(4 * f + 2) + vertex(4 * f + 3)) - middle),
              0);
  }
  write_voxels_ply(path, o, occupancy_palette(), voxel_shape::points);
  bytes = read_file(path);
  EXPECT_THAT(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), HasSubstr("element vertex 2\n"));
  EXPECT_THAT(test::message_of([&] { write_voxels_ply("/nonexistent/x.ply", o, occupancy_palette()); }),
              HasSubstr("/nonexistent"));
}

TEST(occupancy_pictures, unfilled_grids_are_refused) {
  occupancy_labels o;
  cpu exec{.threads = 1};
  EXPECT_THAT(test::message_of([&] { occupancy_picture(exec, o, {}, chase_view(4, 4)); }), HasSubstr("fill the grid"));
  EXPECT_THAT(test::message_of([&] { occupancy_from_above(o, {}); }), HasSubstr("fill the grid"));
}

} // namespace occupancy_pictures_test
