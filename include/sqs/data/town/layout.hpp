// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The endless street network of a town: where streets, crossings, blocks and zebras lie. Every number is a function of
/// the town's seed and of a street's index, so any part can be made without the rest.
///
/// Frame       town axes of a scene: z up, the middle of the scene's first crossing at the origin. Streets run along x
///             (their y is constant) and along y. Traffic keeps to the right. Metres.

#include <sqs/data/town/solid.hpp>

#include <vector>

namespace sqs::town {

inline constexpr double lane_width = 3.5, kerb_height = 0.15, corner_radius = 4, zebra_begin = 2, zebra_end = 5,
                        stop_line = 6.2; ///< along an arm, from the edge of the crossing's square

/// Draws that belong to different things of a town.
enum class site : std::uint64_t {
  street = 1,
  gap,
  block,
  zebra,
  building,
  prop,
  vehicle,
  walker,
  light,
  sky,
  scene,
  signal
};
inline random_stream draws(std::uint64_t seed, site what, std::int64_t i = 0, std::int64_t j = 0) {
  return random_stream::of(seed, static_cast<std::uint64_t>(what), i, j);
}

/// A street: its middle line, and what lies across it.
struct street {
  std::int64_t index = 0;
  double at = 0;       ///< x of a street along y, y of one along x
  int lanes = 1;       ///< per direction
  bool parking = true; ///< a strip along both kerbs
  double walk = 5.5;   ///< width of the pavements
  double speed = 11;   ///< m/s

  double half() const { return lanes * lane_width + (parking ? 2.5 : 0.4); }
};

enum class direction : std::uint8_t { east, north, west, south };
inline constexpr point unit(direction d) {
  return d == direction::east    ? point{1, 0, 0}
         : d == direction::north ? point{0, 1, 0}
         : d == direction::west  ? point{-1, 0, 0}
                                 : point{0, -1, 0};
}
inline constexpr direction turned(direction d, int quarter_turns_left) {
  return static_cast<direction>((static_cast<int>(d) + quarter_turns_left + 8) % 4);
}
inline double angle(direction d) { return 1.5707963267948966 * static_cast<int>(d); }
inline constexpr bool along_x(direction d) { return d == direction::east || d == direction::west; }

/// A striped crossing for pedestrians: the rectangle low .. high on the road; people walk along x or y.
struct zebra {
  vec2<double> low, high;
  bool walk_along_x = false;
  int i = -1, j = -1; ///< the crossing whose arm it lies on; -1 half way between two
  bool contains(double x, double y) const { return x >= low.x && x <= high.x && y >= low.y && y <= high.y; }
};

enum class block_kind : std::uint8_t { city, houses, park, parking };

/// The streets within `reach` crossings of a scene's first crossing.
class street_map {
public:
  static constexpr int reach = 4, count = 2 * reach + 1;

  /// `i`, `j`: the crossing of the town that becomes the origin.
  street_map(std::uint64_t seed, std::int64_t i, std::int64_t j) : seed_(seed), i_(i), j_(j) {
    make(across_, true, i);
    make(along_, false, j);
    make_zebras();
  }

  std::uint64_t seed() const { return seed_; }
  /// Street k - reach along y, and along x; k = 0 .. count - 1.
  const street& vertical(int k) const { return across_[static_cast<std::size_t>(k)]; }
  const street& horizontal(int k) const { return along_[static_cast<std::size_t>(k)]; }
  std::int64_t global_i(int k) const { return i_ + k - reach; }
  std::int64_t global_j(int k) const { return j_ + k - reach; }
  /// Where the origin lies in the town.
  vec2<double> origin() const { return {place(true, i_), place(false, j_)}; }

  /// Whether horizontal street `j` exists between vertical streets `i` and `i + 1`. Elsewhere a square lies across it.
  /// No crossing loses more than one arm.
  bool joined(int i, int j) const {
    const std::int64_t gi = global_i(i), gj = global_j(j);
    const bool may_miss = ((gi + 2 * gj) % 4 + 4) % 4 == 0;
    return !may_miss || draws(seed_, site::gap, gi, gj).uniform(0) > 0.45;
  }
  /// Whether the crossing (i, j) has an arm that way. (Vertical streets are whole.)
  bool has_arm(int i, int j, direction d) const {
    if (d == direction::east) { return joined(i, j); }
    if (d == direction::west) { return i == 0 || joined(i - 1, j); }
    return true;
  }
  block_kind kind(int i, int j) const {
    const double u = draws(seed_, site::block, global_i(i), global_j(j)).uniform(0);
    return u < 0.52 ? block_kind::city
                    : (u < 0.8 ? block_kind::houses : (u < 0.92 ? block_kind::park : block_kind::parking));
  }
  const std::vector<zebra>& zebras() const { return zebras_; }
  /// Where a zebra crosses half way between two crossings: along horizontal street j east of crossing (i, j), or along
  /// vertical street i north of it; not finite where there is none.
  double zebra_between(bool horizontal_street, int i, int j) const {
    return between_[horizontal_street ? 0 : 1][static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
  }

  /// The nearest streets to a place, as indices.
  int nearest_vertical(double x) const { return nearest(across_, x); }
  int nearest_horizontal(double y) const { return nearest(along_, y); }
  /// Whether a place lies between the kerbs.
  bool on_road(double x, double y) const {
    const int i = nearest_vertical(x), j = nearest_horizontal(y);
    const double u = std::abs(x - vertical(i).at) - vertical(i).half();
    const double v = std::abs(y - horizontal(j).at) - horizontal(j).half();
    if (u <= 0) { return true; }
    const int left = x < vertical(i).at ? i - 1 : i;
    if (left >= 0 && left < count - 1 && !joined(left, j)) { return false; }
    // The kerbs' corners are round.
    return v <= 0 ||
           (u < corner_radius && v < corner_radius && std::hypot(corner_radius - u, corner_radius - v) > corner_radius);
  }

private:
  double place(bool across, std::int64_t index) const {
    const auto r = draws(seed_, site::street, across ? 1 : 2, index);
    return 92.0 * static_cast<double>(index) + r.uniform(0, -14, 14);
  }
  void make(std::array<street, count>& out, bool across, std::int64_t middle) const {
    for (int k = 0; k < count; ++k) {
      const std::int64_t index = middle + k - reach;
      const auto r = draws(seed_, site::street, across ? 1 : 2, index);
      street& s = out[static_cast<std::size_t>(k)];
      s.index = index;
      s.at = place(across, index) - place(across, middle);
      s.lanes = r.uniform(1) < 0.4 ? 2 : 1;
      s.parking = r.uniform(2) < (s.lanes == 2 ? 0.5 : 0.8);
      s.walk = r.uniform(3, 5.3, 6.5);
      s.speed = s.lanes == 2 ? r.uniform(4, 10, 13) : r.uniform(4, 8, 11);
    }
  }
  static int nearest(const std::array<street, count>& streets, double at) {
    int best = 0;
    for (int k = 1; k < count; ++k) {
      const auto off = [&](int n) { return std::abs(streets[static_cast<std::size_t>(n)].at - at); };
      if (off(k) < off(best)) { best = k; }
    }
    return best;
  }
  void make_zebras() {
    for (int i = 0; i < count; ++i) {
      for (int j = 0; j < count; ++j) {
        const street &v = vertical(i), &h = horizontal(j);
        for (const direction d : {direction::east, direction::north, direction::west, direction::south}) {
          if (!has_arm(i, j, d)) { continue; }
          const bool x = along_x(d);
          const double sign = d == direction::east || d == direction::north ? 1 : -1;
          const double edge = x ? v.half() : h.half(), a = (x ? v.at : h.at) + sign * (edge + zebra_begin);
          const double b = a + sign * (zebra_end - zebra_begin);
          const double wide = x ? h.half() : v.half(), middle = x ? h.at : v.at;
          const vec2<double> low{std::min(a, b), middle - wide}, high{std::max(a, b), middle + wide};
          zebras_.push_back(x ? zebra{low, high, false, i, j} : zebra{{low.y, low.x}, {high.y, high.x}, true, i, j});
        }
        // Half way to the next crossing.
        auto &on_h = between_[0][static_cast<std::size_t>(i)][static_cast<std::size_t>(j)],
             &on_v = between_[1][static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
        on_h = on_v = std::numeric_limits<double>::quiet_NaN();
        if (i + 1 < count && joined(i, j)) {
          add_between(v, vertical(i + 1), h, true, 3 * global_i(i), global_j(j), on_h);
        }
        if (j + 1 < count) { add_between(h, horizontal(j + 1), v, false, 3 * global_i(i) + 1, global_j(j), on_v); }
      }
    }
  }
  void add_between(const street& a, const street& b, const street& on, bool x, std::int64_t k, std::int64_t l,
                   double& place_of) {
    const auto r = draws(seed_, site::zebra, k, l);
    if (r.uniform(0) > 0.4) { return; }
    const double middle = 0.5 * (a.at + a.half() + b.at - b.half()) + r.uniform(1, -6, 6);
    place_of = middle;
    const vec2<double> low{middle - 1.6, on.at - on.half()}, high{middle + 1.6, on.at + on.half()};
    zebras_.push_back(x ? zebra{low, high, false} : zebra{{low.y, low.x}, {high.y, high.x}, true});
  }

  std::uint64_t seed_;
  std::int64_t i_, j_;
  std::array<street, count> across_, along_;
  std::vector<zebra> zebras_;
  std::array<std::array<std::array<double, count>, count>, 2> between_{};
};

} // namespace sqs::town
