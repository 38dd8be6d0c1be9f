// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <sqs/data/town.hpp>
#include <sqs/metric/prediction_files.hpp>
#include <sqs/pipeline/ground_truth.hpp>

#include <charconv>
#include <map>

namespace evaluate {
namespace {

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
  const auto plans = metric::read_plans(o.prediction);
  if (!o.drivable.empty() && o.drivable != "town" && !fs::is_directory(o.drivable)) {
    raise<file_error>("sqs::evaluate: ", o.drivable, " is no folder; give --drivable one of SAMPLE.npy, or 'town'");
  }
  const std::map<std::string, metric::collision_protocol> protocols{
      {"polygons", metric::collision_protocol::polygons},
      {"st-p3", metric::collision_protocol::st_p3},
      {"omni-drive", metric::collision_protocol::omni_drive}};
  for (const auto& [token, points] : plans) {
    if (data.index_of(token) < 0) {
      raise<file_error>("sqs::evaluate: ", o.prediction, ": '", token.substr(0, 80), "' is no sample of ",
                        o.ground_truth, "; a plan is {\"SAMPLE\": [[x, y], ...]}, x ahead and y left");
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
    const auto plan = plans.find(token);
    if (plan == plans.end()) {
      raise<file_error>("sqs::evaluate: ", o.prediction, " has no plan for sample ", token,
                        ", which the protocol judges; every key frame with three seconds to come needs one");
    }
    sample->plan = plan->second;
    if (!o.drivable.empty()) {
      sample->drivable = o.drivable == "town" ? roads.area(data, i)
                                              : metric::read_drivable_area(fs::path(o.drivable) / (token + ".npy"));
    }
    metric::add_plan(counts, *sample, protocols.at(o.protocol));
  }
  if (counts.samples == 0) {
    raise<file_error>("sqs::evaluate: no key frame of ", o.ground_truth,
                      " has three seconds to come; nothing is judged");
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
