// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A town to train in: driving scenes drawn from a seed, with the sensors of a nuScenes car and exact labels.

#include <sqs/data/dataset.hpp>
#include <sqs/data/town/labels.hpp>
#include <sqs/data/town/text.hpp>
#include <sqs/data/town/voxels.hpp>

#include <mutex>

namespace sqs {

/// The official towns. Each is a network of streets of its own, so no place of one occurs in another.
enum class town_split : std::uint8_t { train, val, test };
inline constexpr std::array<const char*, 3> town_split_names{"train", "val", "test"};
inline constexpr std::array<std::uint64_t, 3> town_seeds{7001, 7002, 7003};
inline constexpr std::array<idx, 3> town_scenes{700, 150, 150}; ///< of the official splits

/// Which of a frame's labels are worked out; pictures, LiDAR and boxes always are.
struct town_contents {
  bool flow = true, occ3d = true, surround_occ = true, masks = true, text = true;
  bool open_occupancy = false; ///< 10 million voxels: only when asked for
  static constexpr town_contents none() { return {false, false, false, false, false}; }
};

struct town_options {
  town_split split = town_split::train;
  idx scenes = 0;                 ///< the first so many; 0: all of the split
  double seconds = 8;             ///< of a scene; two key frames per second
  int height = 900, width = 1600; ///< of the pictures; the intrinsics follow as by `fitting_plan`
  town::camera_options camera{};
  town::lidar_options lidar{};
  town::population_options population{};
  int threads = 1; ///< of one call; the result does not depend on it
};

/// A key frame with everything that is known of it. The sample's `exact_depth` is filled.
struct town_frame {
  sqs::sample sample;
  std::vector<std::vector<std::uint8_t>> semantics; ///< per view and pixel; 17: the sky
  std::vector<std::vector<std::int32_t>> instance;  ///< per view and pixel: index into `instances`; -1: none
  std::vector<std::vector<vec2<float>>> flow;       ///< per view and pixel: to the next key frame, in pixels; NaN: none
  std::vector<std::uint8_t> lidar_semantics;        ///< per point: classes of `occupancy_class_names`
  std::vector<std::int32_t> lidar_instance;
  std::vector<std::string> instances;   ///< tokens, as in the boxes
  occupancy_labels occ3d, surround_occ; ///< ego frame, 0.4 m; LiDAR frame, 0.5 m; with flow and masks
  occupancy_labels open_occupancy;      ///< LiDAR frame, 0.2 m; 0 is free, classes only
  ego_future future;                    ///< in ref axes; known also beyond the end of the scene
  double ego_speed = 0;                 ///< m/s
  std::vector<town::question_answer> text;
};

/// Key frames of a town, scene after scene.
///
/// Units       ref is the LiDAR frame: x right, y forward, z up, 1.84 m above the ground. Global poses have no height.
///             All sensors of a key frame expose at the same moment.
/// Execution   const and thread-safe; the same options and index give the same bits for any number of threads.
/// Errors      precondition_error for an index out of range, or for sizes that are not positive.
/// Cost        see docs/guide/town.md; the last scenes made are kept, so walking in order is cheapest.
class town_dataset {
public:
  explicit town_dataset(town_options options = {}) : options_(options), cache_(std::make_shared<cache>()) {
    if (options_.scenes == 0) { options_.scenes = town_scenes[static_cast<std::size_t>(options_.split)]; }
    expects(options_.scenes > 0 && options_.height > 0 && options_.width > 0 && options_.seconds >= 0.5 &&
                options_.seconds <= 60,
            "sqs::town_dataset: ", options_.scenes, " scenes of ", options_.seconds, " s, ", options_.height, " x ",
            options_.width, " pixels; give positive sizes and 0.5 to 60 s");
  }

  const town_options& options() const { return options_; }
  idx frames_per_scene() const { return static_cast<idx>(2 * options_.seconds + 1e-9); }
  idx size() const { return options_.scenes * frames_per_scene(); }
  std::uint64_t seed() const { return town_seeds[static_cast<std::size_t>(options_.split)]; }
  std::string scene_name(idx scene) const {
    const std::string number = std::to_string(scene);
    return concat("town-", town_split_names[static_cast<std::size_t>(options_.split)], "-",
                  std::string(number.size() < 4 ? 4 - number.size() : 0, '0'), number);
  }
  /// 32 hexadecimal digits, different for everything that is asked for: a `what` of a scene, a number within it.
  std::string token(idx scene, std::string_view what, idx number) const {
    std::uint64_t k = mix_bits(seed() * 1000003 + static_cast<std::uint64_t>(scene));
    for (const char c : what) { k = mix_bits(k ^ static_cast<std::uint64_t>(static_cast<unsigned char>(c))); }
    const std::uint64_t high = mix_bits(k + static_cast<std::uint64_t>(number)), low = mix_bits(high ^ 0x746F776E);
    std::string out(32, '0');
    for (std::size_t i = 0; i < 32; ++i) {
      out[i] = "0123456789abcdef"[((i < 16 ? high >> (60 - 4 * i) : low >> (60 - 4 * (i - 16)))) & 15];
    }
    return out;
  }
  /// Microseconds of a moment of a scene.
  std::int64_t timestamp_us(idx scene, double seconds) const {
    return 1'600'000'000'000'000 + 100'000'000 * (10'000 * static_cast<std::int64_t>(options_.split) + scene) +
           static_cast<std::int64_t>(std::llround(1e6 * seconds));
  }

  sqs::sample sample(idx i) const { return frame(i, town_contents::none()).sample; }

  town_frame frame(idx i, const town_contents& want = {}) const {
    expects(i >= 0 && i < size(), "sqs::town_dataset: frame ", i, " of ", size(), "; give 0 .. size() - 1");
    return frame_at(i / frames_per_scene(), 0.5 * static_cast<double>(i % frames_per_scene()), want);
  }
  /// Any moment of a scene, 0 .. seconds.
  town_frame frame_at(idx scene_index, double seconds, const town_contents& want = {}) const {
    const auto s = scene(scene_index);
    cpu exec{.threads = options_.threads};
    return frame_of(exec, *s, scene_index, seconds, want);
  }
  /// A turn of the LiDAR at any moment of a scene.
  town::lidar_frame sweep(idx scene_index, double seconds) const {
    const auto s = scene(scene_index);
    cpu exec{.threads = options_.threads};
    return town::scan(exec, s->stage_at(seconds), s->T_town_ego(seconds) * town::T_ego_lidar(),
                      noise_seed(scene_index, seconds), options_.lidar);
  }
  se3<double> T_global_ego(idx scene_index, double seconds) const {
    const auto s = scene(scene_index);
    return s->T_global_town() * s->T_town_ego(seconds);
  }

  std::shared_ptr<const town::scene> scene(idx index) const {
    expects(index >= 0 && index < options_.scenes, "sqs::town_dataset: scene ", index, " of ", options_.scenes,
            "; give 0 .. scenes - 1");
    {
      const std::lock_guard lock(cache_->mutex);
      for (const auto& entry : cache_->scenes) {
        if (entry.second && entry.first == index) { return entry.second; }
      }
    }
    auto made = std::make_shared<const town::scene>(seed(), index, options_.seconds, options_.population);
    const std::lock_guard lock(cache_->mutex);
    cache_->scenes[cache_->next++ % cache_->scenes.size()] = {index, made};
    return made;
  }

private:
  struct cache {
    std::mutex mutex;
    std::array<std::pair<idx, std::shared_ptr<const town::scene>>, 4> scenes{};
    std::size_t next = 0;
  };
  std::uint64_t noise_seed(idx scene_index, double seconds) const {
    return random_stream::of(seed(), scene_index, std::llround(seconds * 1000)).key;
  }

  town_frame frame_of(cpu& exec, const town::scene& s, idx index, double seconds, const town_contents& want) const {
    town_frame f;
    const town::stage stage = s.stage_at(seconds);
    const se3<double> T_town_ego = s.T_town_ego(seconds), T_town_ref = T_town_ego * town::T_ego_lidar();
    const se3<double> T_global_ego = s.T_global_town() * T_town_ego;
    const std::uint64_t noise = noise_seed(index, seconds);
    for (std::size_t a = 0; a < s.tracks().size(); ++a) {
      f.instances.push_back(token(index, "instance", static_cast<idx>(a)));
    }
    f.sample.token = token(index, "sample", std::llround(seconds * 1000));
    f.sample.scene = scene_name(index);
    f.sample.timestamp_us = timestamp_us(index, seconds);
    f.sample.T_global_ref = T_global_ego * town::T_ego_lidar();
    auto turn = town::scan(exec, stage, T_town_ref, noise, options_.lidar);
    f.sample.lidar = std::move(turn.sweep);
    f.lidar_semantics = std::move(turn.semantics), f.lidar_instance = std::move(turn.instance);
    std::vector<town::camera_frame> frames;
    std::vector<pinhole_camera<double>> cameras;
    for (std::size_t v = 0; v < town::rig.size(); ++v) {
      cameras.push_back(town::intrinsics(v, options_.height, options_.width));
      frames.push_back(town::render(exec, stage, cameras[v], T_town_ego * town::T_ego_camera(v), f.instances.size(),
                                    noise + v + 1, options_.camera));
    }
    f.sample.boxes = town::boxes_of(s, seconds, inverse(T_town_ref), f.lidar_instance, frames, cameras, f.instances);
    for (std::size_t v = 0; v < frames.size(); ++v) {
      if (want.flow) { f.flow.push_back(town::flow_of(exec, s, frames[v], cameras[v], v, seconds, seconds + 0.5)); }
      f.sample.views.push_back(
          {.name = town::rig[v].name,
           .picture = std::move(frames[v].picture),
           .camera = cameras[v],
           .T_cam_ref = pose_through_global(T_global_ego, town::T_ego_camera(v), f.sample.T_global_ref),
           .timestamp_us = f.sample.timestamp_us});
      f.sample.exact_depth.push_back(std::move(frames[v].depth));
      f.semantics.push_back(std::move(frames[v].semantics));
      f.instance.push_back(std::move(frames[v].instance));
    }
    f.future = town::future_of_ego(s, seconds);
    f.ego_speed = s.at(0, seconds).speed;
    if (want.text) { f.text = town::questions_about(f.sample.boxes, f.future, f.ego_speed, s.light(), noise); }
    fill_occupancy(exec, s, stage, seconds, want, f);
    return f;
  }

  void fill_occupancy(cpu& exec, const town::scene& s, const town::stage& stage, double seconds,
                      const town_contents& want, town_frame& f) const {
    std::vector<vec2<double>> velocity;
    for (std::size_t a = 0; a < s.tracks().size(); ++a) { velocity.push_back(s.velocity(a, seconds)); }
    const se3<double> T_town_ego = s.T_town_ego(seconds);
    const auto fill = [&](const occupancy_grid& grid, const se3<double>& T_town_grid) {
      auto labels = town::fill_voxels(exec, stage, {grid, T_town_grid, velocity});
      if (!want.masks) { return labels; }
      labels.mask_camera = town::camera_mask(exec, labels, inverse(T_town_grid) * T_town_ego);
      std::vector<se3<double>> turns;
      for (idx k = 0; k < frames_per_scene(); ++k) {
        turns.push_back(inverse(T_town_grid) * s.T_town_ego(0.5 * static_cast<double>(k)) * town::T_ego_lidar());
      }
      labels.mask_lidar = town::lidar_mask(exec, labels, turns);
      return labels;
    };
    if (want.occ3d) { f.occ3d = fill(occ3d_grid, T_town_ego); }
    if (want.surround_occ) { f.surround_occ = fill(surround_occ_grid, T_town_ego * town::T_ego_lidar()); }
    if (want.open_occupancy) {
      auto o = town::fill_voxels(exec, stage, {open_occupancy_grid, T_town_ego * town::T_ego_lidar(), velocity});
      o.flow = {}; // the format has none
      o.free = 0;
      for (auto& v : o.semantics) {
        v = v == 0 ? occupancy_labels::ignore : v == occupancy_free ? std::uint8_t{0} : v; // 0 in files: noise
      }
      f.open_occupancy = std::move(o);
    }
  }

  town_options options_;
  std::shared_ptr<cache> cache_;
};

static_assert(dataset<town_dataset>);

} // namespace sqs
