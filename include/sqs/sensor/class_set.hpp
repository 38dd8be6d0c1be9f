// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The classes of driving data, once: names, colours, and the maps between the numberings of the data sets.

#include <array>
#include <cstdint>
#include <string_view>

namespace sqs {

/// The sixteen classes of nuScenes lidarseg, 1 .. 16; 0 is everything else. Occ3D, SurroundOcc and nuScenes-Occupancy
/// number them alike; what differs is the number for "free" (17, 17 and 0).
inline constexpr std::array<std::string_view, 18> occupancy_class_names{
    "others",     "barrier",    "bicycle",      "bus",     "car",        "construction_vehicle",
    "motorcycle", "pedestrian", "traffic_cone", "trailer", "truck",      "driveable_surface",
    "other_flat", "sidewalk",   "terrain",      "manmade", "vegetation", "free"};
inline constexpr int occupancy_free = 17;

/// Red, green, blue of each of `occupancy_class_names`, as the nuScenes devkit draws lidarseg.
inline constexpr std::array<std::array<std::uint8_t, 3>, 18> occupancy_class_colours{{{0, 0, 0},
                                                                                      {112, 128, 144},
                                                                                      {220, 20, 60},
                                                                                      {255, 127, 80},
                                                                                      {255, 158, 0},
                                                                                      {233, 150, 70},
                                                                                      {255, 61, 99},
                                                                                      {0, 0, 230},
                                                                                      {47, 79, 79},
                                                                                      {255, 140, 0},
                                                                                      {255, 99, 71},
                                                                                      {0, 207, 191},
                                                                                      {175, 0, 75},
                                                                                      {75, 0, 75},
                                                                                      {112, 180, 60},
                                                                                      {222, 184, 135},
                                                                                      {0, 175, 0},
                                                                                      {255, 255, 255}}};

/// The numbering of OpenOcc v2 (occupancy and flow). 0 .. 7 move.
inline constexpr std::array<std::string_view, 17> open_occ_class_names{"car",
                                                                       "truck",
                                                                       "trailer",
                                                                       "bus",
                                                                       "construction_vehicle",
                                                                       "bicycle",
                                                                       "motorcycle",
                                                                       "pedestrian",
                                                                       "traffic_cone",
                                                                       "barrier",
                                                                       "driveable_surface",
                                                                       "other_flat",
                                                                       "sidewalk",
                                                                       "terrain",
                                                                       "manmade",
                                                                       "vegetation",
                                                                       "free"};
inline constexpr int open_occ_free = 16, open_occ_movable = 8;
/// OpenOcc v2 -> Occ3D.
inline constexpr std::array<std::uint8_t, 17> occupancy_of_open_occ{4, 10, 9,  3,  5,  2,  6,  7, 8,
                                                                    1, 11, 12, 13, 14, 15, 16, 17};
/// Occ3D -> OpenOcc v2. "others" has no counterpart there: 255, which every metric and loss ignores.
inline constexpr std::array<std::uint8_t, 18> open_occ_of_occupancy{255, 9, 5,  3,  0,  4,  6,  7,  8,
                                                                    2,   1, 10, 11, 12, 13, 14, 15, 16};

/// The ten classes of the nuScenes detection benchmark, in the order of mmdet3d, SparseBEV and Sparse4D.
inline constexpr std::array<std::string_view, 10> detection_class_names{
    "car",        "truck",   "construction_vehicle", "bus",         "trailer", "barrier",
    "motorcycle", "bicycle", "pedestrian",           "traffic_cone"};

/// A category of nuScenes: its name, its place among `occupancy_class_names` (0: others) and among
/// `detection_class_names` (-1: not evaluated). The position is the index that lidarseg files hold.
struct nuscenes_category {
  std::string_view name;
  std::uint8_t occupancy;
  std::int8_t detection;
};
inline constexpr std::array<nuscenes_category, 32> nuscenes_categories{{{"noise", 0, -1},
                                                                        {"animal", 0, -1},
                                                                        {"human.pedestrian.adult", 7, 8},
                                                                        {"human.pedestrian.child", 7, 8},
                                                                        {"human.pedestrian.construction_worker", 7, 8},
                                                                        {"human.pedestrian.personal_mobility", 0, -1},
                                                                        {"human.pedestrian.police_officer", 7, 8},
                                                                        {"human.pedestrian.stroller", 0, -1},
                                                                        {"human.pedestrian.wheelchair", 0, -1},
                                                                        {"movable_object.barrier", 1, 5},
                                                                        {"movable_object.debris", 0, -1},
                                                                        {"movable_object.pushable_pullable", 0, -1},
                                                                        {"movable_object.trafficcone", 8, 9},
                                                                        {"static_object.bicycle_rack", 0, -1},
                                                                        {"vehicle.bicycle", 2, 7},
                                                                        {"vehicle.bus.bendy", 3, 3},
                                                                        {"vehicle.bus.rigid", 3, 3},
                                                                        {"vehicle.car", 4, 0},
                                                                        {"vehicle.construction", 5, 2},
                                                                        {"vehicle.emergency.ambulance", 0, -1},
                                                                        {"vehicle.emergency.police", 0, -1},
                                                                        {"vehicle.motorcycle", 6, 6},
                                                                        {"vehicle.trailer", 9, 4},
                                                                        {"vehicle.truck", 10, 1},
                                                                        {"flat.driveable_surface", 11, -1},
                                                                        {"flat.other", 12, -1},
                                                                        {"flat.sidewalk", 13, -1},
                                                                        {"flat.terrain", 14, -1},
                                                                        {"static.manmade", 15, -1},
                                                                        {"static.other", 0, -1},
                                                                        {"static.vegetation", 16, -1},
                                                                        {"vehicle.ego", 0, -1}}};

/// The category of that name, or nullptr.
constexpr const nuscenes_category* find_nuscenes_category(std::string_view name) {
  for (const auto& c : nuscenes_categories) {
    if (c.name == name) { return &c; }
  }
  return nullptr;
}

/// SemanticKITTI's classes after the learning map; 0 is empty in its completion benchmark.
inline constexpr std::array<std::string_view, 20> semantic_kitti_class_names{
    "unlabeled", "car",          "bicycle", "motorcycle", "truck",    "other-vehicle", "person",
    "bicyclist", "motorcyclist", "road",    "parking",    "sidewalk", "other-ground",  "building",
    "fence",     "vegetation",   "trunk",   "terrain",    "pole",     "traffic-sign"};

} // namespace sqs
