// SPDX-License-Identifier: Apache-2.0
// Data sets spread over disks: folders at the top are links.
#include "tiny_nuscenes.hpp"

#include <sqs/data/can_bus.hpp>
#include <sqs/data/check.hpp>

#include "../support/check.hpp"
#include "../support/scratch.hpp"

namespace linked_folders_test {

namespace fs = std::filesystem;
using sqs_test::tiny_nuscenes;
using ::testing::HasSubstr;

/// The tiny set, and a second place that its folders can be moved to.
struct spread : tiny_nuscenes {
  const sqs::test::scratch_folder disk;
  spread() { open(); }
  void move(const std::string& part) const {
    fs::rename(root / part, disk / part);
    fs::create_directory_symlink(disk / part, root / part);
  }
};

TEST(linked_folders, are_read_as_if_they_were_there) {
  const spread set;
  fs::create_directories(set.root / "can_bus");
  std::ofstream(set.root / "can_bus/scene-1_pose.json")
      << R"([{"utime":1,"accel":[1,2,3],"rotation_rate":[0,0,0],"vel":[4,0,0]}])";
  const auto before = sqs::nuscenes_dataset(set.root).sample(1);
  for (const char* folder : {"samples", "v1.0-mini", "can_bus"}) { set.move(folder); }
  const auto after = sqs::nuscenes_dataset(set.root).sample(1);
  EXPECT_EQ(after.token, before.token);
  ASSERT_EQ(after.views.size(), 6u);
  EXPECT_EQ(after.views[3].picture, before.views[3].picture);
  EXPECT_EQ(after.lidar.intensity, before.lidar.intensity);
  ASSERT_TRUE(sqs::read_can_bus(set.root, "scene-1").has_value());
  EXPECT_EQ(sqs::read_can_bus(set.root, "scene-1")->poses[0].velocity.x, 4);
}

TEST(linked_folders, of_a_disk_that_is_not_mounted_are_no_absence) {
  const spread set;
  EXPECT_FALSE(sqs::read_can_bus(set.root, "scene-1").has_value()); // there is no such folder: no messages
  fs::create_directory_symlink(set.disk / "can_bus", set.root / "can_bus");
  EXPECT_THAT(sqs::test::message_of([&] { sqs::read_can_bus(set.root, "scene-1"); }),
              HasSubstr("can_bus/scene-1_pose.json cannot be reached: can_bus is a link to a folder that is not there; "
                        "mount its disk"));
  fs::create_directories(set.disk / "can_bus");
  EXPECT_FALSE(sqs::read_can_bus(set.root, "scene-1").has_value());
  set.move("samples");
  fs::rename(set.disk / "samples", set.disk / "taken_out");
  EXPECT_THAT(sqs::test::message_of([&] { sqs::nuscenes_dataset(set.root).sample(0); }),
              HasSubstr("samples/LIDAR_TOP/0.pcd.bin: No such file or directory"));
}

TEST(linked_folders, may_not_lead_on_to_other_places) {
  const spread set;
  set.move("samples");
  fs::create_directories(set.disk / "secret");
  fs::rename(set.disk / "samples/CAM_BACK", set.disk / "secret/CAM_BACK");
  fs::create_directory_symlink(set.disk / "secret/CAM_BACK", set.disk / "samples/CAM_BACK");
  const sqs::nuscenes_dataset data(set.root);
  EXPECT_THAT(sqs::test::message_of([&] { data.sample(0); }),
              HasSubstr("names the file 'samples/CAM_BACK/0.jpg', which leads outside through a symbolic link below "
                        "'samples' (only links at the top are followed); file names must be relative and stay under " +
                        set.root.string()));
}

} // namespace linked_folders_test
