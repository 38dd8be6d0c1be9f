// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <sqs/data/town.hpp>
#include <sqs/pipeline/ground_truth.hpp>
#include <sqs/tensor/npy.hpp>
#include <sqs/tensor/stored_numbers.hpp>

#include <charconv>
#include <map>

namespace evaluate {
namespace {

/// FOLDER/SAMPLE.npy: [1000, 1000], see `metric::drivable_area`.
metric::drivable_area drivable_file(const fs::path& folder, const std::string& token) {
  const fs::path path = folder / (token + ".npy");
  const auto array = decode_npy(read_file(path, limits{.file_bytes = std::uint64_t{64} << 20}), path.string());
  constexpr int n = metric::drivable_area::size;
  if (array.shape != std::vector<std::int64_t>{n, n}) {
    raise<file_error>("sqs::evaluate: ", path.string(), " is ", fmt::format("{}", fmt::join(array.shape, " x ")),
                      " instead of 1000 x 1000 cells of 0.1 m; see --help of planning");
  }
  metric::drivable_area area;
  for (const auto v : integers_of(array, path.string())) { area.cells.push_back(v != 0 ? 1 : 0); }
  return area;
}

/// The roads of a data set that make_town wrote: its scenes are named town-SPLIT-NUMBER.
class town_roads {
public:
  metric::drivable_area area(const nuscenes_dataset& data, idx i) {
    const std::string& name = data.scene(i);
    if (name != name_) { open(name); }
    const auto T_town_ego = inverse(scene_->T_global_town()) * data.T_global_ref(i) * inverse(data.T_ego_ref(i));
    return metric::make_drivable_area([&](double x, double y) {
      const vec3<double> p = T_town_ego * vec3<double>{x, y, 0};
      return scene_->map().on_road(p.x, p.y);
    });
  }

private:
  void open(const std::string& name) {
    for (std::size_t split = 0; split < town_split_names.size(); ++split) {
      const std::string begin = concat("town-", town_split_names[split], "-");
      idx number = -1;
      if (!name.starts_with(begin)) { continue; }
      const auto [end, error] = std::from_chars(name.data() + begin.size(), name.data() + name.size(), number);
      if (error != std::errc() || end != name.data() + name.size() || number < 0 || number > 1'000'000) { continue; }
      // Streets do not depend on how long the scene lasts.
      const town_dataset town({.split = static_cast<town_split>(split), .scenes = number + 1, .seconds = 0.5});
      scene_ = town.scene(number), name_ = name;
      return;
    }
    raise<file_error>("sqs::evaluate: the scene '", name,
                      "' is none of a town (town-SPLIT-NUMBER); give a folder of "
                      "drivable masks instead of 'town'");
  }

  std::string name_;
  std::shared_ptr<const sqs::town::scene> scene_;
};

} // namespace

table planning(const options& o) {
  const auto data = key_frames(o.ground_truth, o);
  const auto plans = read_json(o.prediction);
  const auto& list_of_plans = members(plans, o.prediction);
  const std::map<std::string, metric::collision_protocol> protocols{
      {"polygons", metric::collision_protocol::polygons},
      {"st-p3", metric::collision_protocol::st_p3},
      {"omni-drive", metric::collision_protocol::omni_drive}};
  for (const auto& [token, points] : list_of_plans) {
    const auto* steps = points.as<json_value::array>();
    if (data.index_of(token) < 0 || steps == nullptr || steps->size() != 6) {
      raise<file_error>("sqs::evaluate: ", o.prediction, ": '", token, "' is no sample of ", o.ground_truth,
                        " with a list of six points; a plan is {\"SAMPLE\": [[x, y], ...]}, x ahead and y left");
    }
  }
  metric::planning_counts counts;
  town_roads roads;
  auto bar = progress(o, "plans", static_cast<std::size_t>(data.size()));
  for (idx i = 0; i < data.size(); ++i) {
    bar.update(i + 1, "");
    auto sample = pipeline::planning_ground_truth(data, i);
    if (!sample) { continue; } // less than three seconds follow
    const std::string token = data.token(i);
    const json_value* points = plans.find(token);
    if (points == nullptr) {
      raise<file_error>("sqs::evaluate: ", o.prediction, " has no plan for sample ", token,
                        ", which the protocol judges; every key frame with three seconds to come needs one");
    }
    for (const auto& p : *points->as<json_value::array>()) {
      const auto xy = json_fields(*points, o.prediction + ", sample " + token).numbers_of<2>(p, "point");
      sample->plan.push_back({xy[0], xy[1]});
    }
    if (!o.drivable.empty()) {
      sample->drivable = o.drivable == "town" ? roads.area(data, i) : drivable_file(o.drivable, token);
    }
    metric::add_plan(counts, *sample, protocols.at(o.protocol));
  }
  const auto s = metric::score_planning(counts);
  const auto row = [](const metric::planning_scores::row& r) {
    return std::vector<double>{r.at[0], r.at[1], r.at[2], r.mean};
  };
  table t{fmt::format("planning, collisions by {}, {} samples", o.protocol, counts.samples),
          {"1 s", "2 s", "3 s", "mean"},
          {{"L2 average, m", row(s.l2_average)},
           {"L2 final, m", row(s.l2_final)},
           {"collision, mean of steps", row(s.collision_steps)},
           {"collision, any step", row(s.collision_any)}}};
  if (!o.drivable.empty()) { t.rows.push_back({"boundary, any step", row(s.boundary)}); }
  return t;
}

} // namespace evaluate
