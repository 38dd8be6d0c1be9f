// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Reads the tables of a data set in the nuScenes format: streamed, joined, every link checked.

#include <sqs/data/detail/nuscenes_readers.hpp>
#include <sqs/exec/parallel.hpp>

#include <exception>

namespace sqs {

/// Reads and joins the tables of `folder` (`.../v1.0-mini`).
///
/// Needed are category, instance, sensor, calibrated_sensor, ego_pose, scene, sample, sample_data and
/// sample_annotation; attribute, visibility, log, map and lidarseg are read where they are.
/// Execution   on `threads` threads; the result does not depend on their number.
/// Errors      file_error naming table, record, token and field: a missing table, malformed JSON, a missing field or
///             one of another type, a dangling or duplicate token, a quaternion that is not unit (so also NaN and
///             zero), singular intrinsics, a sample without one of the six cameras or the LiDAR.
/// Cost        one pass over each table through buffers of 1 MiB; memory for the rows that are kept: about 140 bytes a
///             box, 90 a file, 56 a pose.
inline nuscenes_tables read_nuscenes_tables(const std::filesystem::path& folder,
                                            const nuscenes_table_options& options = {}) {
  nuscenes_tables out;
  out.folder = folder;
  const detail::nuscenes_table_source from(folder, options.most);
  detail::nuscenes_frame_reader frames(from, options, out);
  frames.read();
  detail::nuscenes_recording_reader recordings(from, options, frames, out);
  detail::nuscenes_annotation_reader annotations(from, options, frames, out);
  cpu threads{.threads = std::clamp(options.threads, 1, 2)};
  std::array<std::exception_ptr, 2> failures; // the first of them in this order, whichever came first
  parallel_for(threads, 2, 1, [&](idx task, idx) {
    const auto run = [&] { task == 0 ? recordings.read() : annotations.read(); };
#if defined(SQS_NO_EXCEPTIONS)
    run();
#else
    try {
      run();
    } catch (...) { failures[static_cast<std::size_t>(task)] = std::current_exception(); }
#endif
  });
  for (const auto& f : failures) {
    if (f) { std::rethrow_exception(f); }
  }
  recordings.finish();
  annotations.finish();
  return out;
}

} // namespace sqs
