// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Questions about a moment of a scene, and their answers, from templates. Answers follow from the labels alone; the
/// wording of a question is one of several, drawn.

#include <sqs/data/town/labels.hpp>

namespace sqs::town {

/// "count", "nearest", "free", "motion", "light", "action", "caption".
struct question_answer {
  std::string topic, question, answer;
};

namespace detail {

inline std::string number_word(int n) {
  constexpr const char* words[] = {"no",    "one",   "two",  "three", "four",   "five",  "six",
                                   "seven", "eight", "nine", "ten",   "eleven", "twelve"};
  return n <= 12 ? words[n] : "many";
}
inline std::string noun(const std::string& category, bool plural) {
  constexpr std::array<std::array<const char*, 3>, 10> names{
      {{"vehicle.car", "car", "cars"},
       {"vehicle.truck", "truck", "trucks"},
       {"vehicle.bus.rigid", "bus", "buses"},
       {"vehicle.trailer", "trailer", "trailers"},
       {"vehicle.construction", "construction vehicle", "construction vehicles"},
       {"vehicle.motorcycle", "motorcycle", "motorcycles"},
       {"vehicle.bicycle", "bicycle", "bicycles"},
       {"human.pedestrian.adult", "pedestrian", "pedestrians"},
       {"movable_object.trafficcone", "traffic cone", "traffic cones"},
       {"movable_object.barrier", "barrier", "barriers"}}};
  for (const auto& n : names) {
    if (category == n[0]) { return n[plural ? 2 : 1]; }
  }
  return plural ? "objects" : "object";
}
/// "ahead", "ahead to the left", ... of a place in ego axes.
inline std::string bearing(double x, double y) {
  constexpr const char* names[] = {"ahead",  "ahead to the left",   "to the left",  "behind to the left",
                                   "behind", "behind to the right", "to the right", "ahead to the right"};
  const int octant = static_cast<int>(std::floor(std::atan2(y, x) / 0.7853981633974483 + 0.5));
  return names[((octant % 8) + 8) % 8];
}
inline std::string range_words(double metres) {
  constexpr std::array<int, 5> limits{5, 10, 20, 40, 60};
  for (const int limit : limits) {
    if (metres < limit) { return concat("within ", limit, " metres"); }
  }
  return "far away";
}

} // namespace detail

/// What the ego, now at `speed` m/s, does in the next three seconds: "turn left", "turn right", "stop", "stay stopped",
/// "slow down", "speed up" or "keep speed".
inline std::string planned_action(const ego_future& f, double speed) {
  const auto& p = f.position;
  const double last = 2 * std::hypot(p[5].x - p[4].x, p[5].y - p[4].y);
  if (f.command != driving_command::straight) {
    return f.command == driving_command::left ? "turn left" : "turn right";
  }
  if (last < 0.4) { return speed < 0.4 ? "stay stopped" : "stop"; }
  if (last < speed - 1) { return "slow down"; }
  return last > speed + 1 ? "speed up" : "keep speed";
}

/// The questions of one moment. `boxes` are in ref, the LiDAR's axes.
inline std::vector<question_answer> questions_about(std::span<const box3d> boxes, const ego_future& future,
                                                    double speed, const weather& light, std::uint64_t seed) {
  using namespace detail;
  const random_stream draw = random_stream::of(seed, 991);
  const se3<double> T_ego_ref = T_ego_lidar();
  struct thing {
    const box3d* box;
    double x, y, away;
  };
  std::vector<thing> seen;
  for (const auto& b : boxes) {
    const point p = T_ego_ref * b.center;
    if (b.visibility >= 2) { seen.push_back({&b, p.x, p.y, std::hypot(p.x, p.y)}); }
  }
  std::stable_sort(seen.begin(), seen.end(), [](const thing& a, const thing& b) { return a.away < b.away; });
  std::vector<question_answer> out;
  idx n = 0;
  const auto pick = [&](std::initializer_list<const char*> ways) {
    return std::string(ways.begin()[static_cast<std::size_t>(draw.uniform(n++) * static_cast<double>(ways.size()))]);
  };
  const auto filled = [](std::string text, const std::string& word) {
    const auto at = text.find('%');
    return at == std::string::npos ? text : text.replace(at, 1, word);
  };
  const auto count_of = [&](const char* category) {
    return static_cast<int>(
        std::count_if(seen.begin(), seen.end(), [&](const thing& t) { return t.box->category == category; }));
  };
  for (const char* category : {"vehicle.car", "human.pedestrian.adult", "vehicle.truck", "vehicle.bicycle"}) {
    const int count = count_of(category);
    out.push_back(
        {"count",
         filled(pick({"How many % are visible?", "How many % do you see?", "Count the %."}), noun(category, true)),
         concat(number_word(count), " ", noun(category, count != 1), ".")});
  }
  const std::string where = seen.empty() ? "there is nothing near."
                                         : concat("a ", noun(seen[0].box->category, false), " ",
                                                  bearing(seen[0].x, seen[0].y), ", ", range_words(seen[0].away), ".");
  out.push_back(
      {"nearest",
       pick({"What is nearest to us?", "Which object is the closest?", "What is the nearest agent and where is it?"}),
       where});
  // The lane ahead: the ego's width and a little more.
  const thing* first = nullptr;
  for (const auto& t : seen) {
    if (t.x > 0 && std::abs(t.y) < 1.6 + 0.3 * t.box->size.y && (first == nullptr || t.x < first->x)) { first = &t; }
  }
  const double free = first == nullptr ? 1e9 : first->x - first->box->size.x / 2 - (ego_middle + ego_size.x / 2);
  out.push_back(
      {"free",
       pick({"Is the lane ahead clear within 10 metres?", "Is our lane free for the next 10 metres?",
             "Can we move on for 10 metres?"}),
       free > 10 ? "yes, the lane is clear." : concat("no, a ", noun(first->box->category, false), " is in the way.")});
  if (first != nullptr) {
    const bool moves = std::hypot(first->box->velocity.x, first->box->velocity.y) > 0.3;
    out.push_back({"motion",
                   pick({"Is the object ahead moving?", "Does the object in front of us move?",
                         "Is what is ahead of us in motion?"}),
                   concat(moves ? "yes, the " : "no, the ", noun(first->box->category, false),
                          moves ? " is moving." : " is standing.")});
  }
  out.push_back({"light", pick({"What is the weather like?", "How is the light?", "What kind of day is it?"}),
                 std::string(light.name) == "evening" ? "it is a clear evening." : concat("it is ", light.name, ".")});
  const std::string action = planned_action(future, speed);
  out.push_back(
      {"action", pick({"What should we do next?", "What is the plan?", "What is the next action?"}), action + "."});
  const int cars = count_of("vehicle.car"), people = count_of("human.pedestrian.adult");
  out.push_back({"caption", pick({"Describe the scene.", "What is happening?", "Give a short description."}),
                 concat("there ", cars == 1 ? "is " : "are ", number_word(cars), cars == 1 ? " car" : " cars", " and ",
                        number_word(people), people == 1 ? " pedestrian" : " pedestrians",
                        " around us. the lane ahead is ", free > 10 ? "clear" : "not clear", " and we ", action, ".")});
  return out;
}

} // namespace sqs::town
