// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Does a planned path leave the road? OmniDrive's boundary test: cells of the vehicle that are not drivable.

#include <sqs/metric/collision.hpp>

#include <concepts>

namespace sqs::metric {

/// Where one may drive, from above: 100 x 100 m around the vehicle in cells of 0.1 m.
///
/// Shapes      cells [1000, 1000], 0 where driving is not allowed; or none: unknown. Row r lies at y = r / 10 - 50,
///             column c at x = c / 10 - 50. The devkit's map gives the same array:
///             get_map_mask((x, y, 100, 100), yaw in degrees, ['drivable_area'], (1000, 1000))[0]
/// Units       metres; the vehicle's frame at the present: x ahead, y left
struct drivable_area {
  static constexpr int size = 1000;
  std::vector<std::uint8_t> cells;

  bool known() const { return !cells.empty(); }
};

/// The area of a test: `may_drive(x, y)` at every cell.
template <std::predicate<double, double> F> drivable_area make_drivable_area(F&& may_drive) {
  drivable_area a;
  a.cells.reserve(std::size_t{drivable_area::size} * drivable_area::size);
  for (int r = 0; r < drivable_area::size; ++r) {
    for (int c = 0; c < drivable_area::size; ++c) {
      a.cells.push_back(may_drive(c / 10.0 - 50, r / 10.0 - 50) ? 1 : 0);
    }
  }
  return a;
}

namespace detail {

/// The corners of OmniDrive's vehicle, 4.08 x 1.85 m, its centre 1.485793 m ahead of the point whichever way it turns.
inline std::array<raster_cell, 4> boundary_cells(const vec2<double>& point, double turn) {
  const auto at = corners(point + vec2<double>{0.5 + 0.985793, 0}, 4.08, 1.85, turn);
  std::array<raster_cell, 4> out{};
  for (std::size_t i = 0; i < 4; ++i) { out[i] = {fine_cell(at[i].x), fine_cell(at[i].y)}; }
  return out;
}

inline bool beyond(const drivable_area& area, const std::array<raster_cell, 4>& vehicle) {
  bool out = false;
  fill_polygon(vehicle, [&](int x, int y) {
    if (x < 0 || y < 0 || x >= area.size || y >= area.size) { return; } // not known, not counted
    out = out || area.cells[static_cast<std::size_t>(y) * drivable_area::size + static_cast<std::size_t>(x)] == 0;
  });
  return out;
}

} // namespace detail

/// Whether the vehicle stands on cells that are not drivable: now, then at each step of `path`. At a step it faces
/// where it came to from the point before, however short the way was. Cells more than 50 m away do not count.
///
/// Units       metres; the vehicle's frame at the present: x ahead, y left
/// Returns     path.size() + 1 answers
/// Errors      precondition_error for an area that is not 1000 x 1000 or a path that is not finite.
/// Source      OmniDrive (Wang et al. 2025), its planning evaluation
inline std::vector<bool> outside(const std::vector<vec2<double>>& path, const drivable_area& area) {
  expects(area.cells.size() == std::size_t{drivable_area::size} * drivable_area::size,
          "sqs::metric::outside: ", area.cells.size(),
          " cells; an area has 1000 x 1000 of 0.1 m, see make_drivable_area");
  std::vector<bool> out{detail::beyond(area, detail::boundary_cells({}, 0))};
  for (std::size_t t = 0; t < path.size(); ++t) {
    expects(std::isfinite(path[t].x) && std::isfinite(path[t].y), "sqs::metric::outside: step ", t, " of a path is (",
            path[t].x, ", ", path[t].y, "); plans must be finite");
    const vec2<double> d = path[t] - (t == 0 ? vec2<double>{} : path[t - 1]);
    out.push_back(detail::beyond(area, detail::boundary_cells(path[t], std::atan2(d.y, d.x))));
  }
  return out;
}

} // namespace sqs::metric
