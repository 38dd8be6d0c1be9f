// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Shell commands that bring back what a data set in the layout of nuScenes lacks. Archives have the names their
/// publishers gave them and are looked for in the current folder; one whose name is not published is called ARCHIVE.

#include <sqs/data/detail/check_report.hpp>
#include <sqs/data/town/output_folder.hpp>

namespace sqs::detail {

/// Puts the smallest published data set where there is none.
inline std::string nuscenes_from_nothing(const std::filesystem::path& root) {
  return concat("mkdir -p ", shell_word(root), " && tar -xzf v1.0-mini.tgz -C ", shell_word(root),
                "   # the full set: v1.0-trainval_meta.tgz and v1.0-trainval*_blobs.tgz");
}
/// Nothing of a town is for download. The command that the folder holds is not `trusted` where it is what is damaged.
inline std::string town_from_nothing(const std::filesystem::path& root, bool trusted = true) {
  constexpr std::int64_t most = 4096; // bytes of a few lines of text
  const bool readable = trusted && size_of(root / town_marker) <= most;
  const auto command = readable ? town_command(root) : std::string();
  if (command.empty()) {
    return concat("make_town --out ", shell_word(root.string() + "_again"), "   # with the options it was made with");
  }
  return concat(command, " --replace --out ", shell_word(root));
}

class nuscenes_repairs {
public:
  using path = std::filesystem::path;

  nuscenes_repairs(path root, std::string version)
      : root_(std::move(root)),
        version_(std::move(version)),
        mini_(version_ == "v1.0-mini"),
        town_(version_ == "v1.0-town"),
        published_(mini_ || version_ == "v1.0-trainval" || version_ == "v1.0-test") {}

  /// lidarseg brings its own category.json, which the archive of the tables would undo.
  std::string tables() const {
    std::error_code ignored;
    const bool segmented = std::filesystem::exists(root_ / version_ / "lidarseg.json", ignored);
    const auto again = tar(mini_ ? "v1.0-mini.tgz" : version_ + "_meta.tgz", version_);
    return official(segmented ? again + " && " + lidarseg_tar(path(version_) / "category.json") : again);
  }
  /// A picture of a map; they lie beside the tables.
  std::string map(const path& name) const {
    return official(tar(mini_ ? "v1.0-mini.tgz" : version_ + "_meta.tgz", name));
  }
  /// A file of samples/ or sweeps/: one of the archives of the full set has it.
  std::string file(const path& name) const {
    return official(mini_ ? tar("v1.0-mini.tgz", name)
                          : concat("for f in ", version_, "*_blobs.tgz; do ", tar("$f", name), " && break; done"));
  }
  /// A folder of them: all archives have a part of it.
  std::string folder(const path& name) const {
    return official(mini_ ? tar("v1.0-mini.tgz", name)
                          : concat("for f in ", version_, "*_blobs.tgz; do ", tar("$f", name), "; done"));
  }
  /// A folder at the top that is a link to nowhere.
  std::string link(const path& name, const path& target) const {
    return concat("mkdir -p ", shell_word(target), " && ", folder(name), "   # or mount the disk that it lies on");
  }
  std::string lidarseg(const path& name) const { return official(lidarseg_tar(name)); }
  std::string can_bus(const path& name) const {
    if (town_) { // the command that made it would remove what somebody added
      std::error_code ignored;
      const auto file = (root_ / name).string();
      const auto away = concat("mv ", shell_word(file), " ", shell_word(file + ".damaged"), "   ");
      return concat(std::filesystem::exists(file, ignored) ? away : "",
                    "# make_town writes no CAN bus: bring it again from where it came");
    }
    return official(concat("unzip -o can_bus.zip ", shell_word(name), " -d ", shell_word(root_)));
  }
  bool is_town() const { return town_; }
  /// Whether the set is one of nuScenes' own, whose archives hold every file.
  bool is_published() const { return published_; }

  // Labels of others, by their path below the root.
  std::string occ3d(const path& name) const { return unless_town(tar("gts.tar.gz", name)); }
  std::string open_occ(const path& name) const {
    return unless_town(into(name, concat("unzip -p openocc_v2.1.zip ", shell_word("openocc_v2" / below_top(name)))));
  }
  std::string open_occupancy(const path& name) const {
    return unless_town(into(name, concat("7za x -so nuScenes-Occupancy-v0.1.7z ",
                                         shell_word("nuScenes-Occupancy-v0.1" / below_top(name)))));
  }
  std::string surround_occ(const path& name) const {
    return unless_town(concat("unzip -o -j ARCHIVE ", shell_word(path("*") / name.filename()), " -d ",
                              shell_word(root_ / name.parent_path()),
                              "   # ARCHIVE: SurroundOcc's labels of 200 x 200 x 16 voxels, train or val"));
  }

private:
  std::string lidarseg_tar(const path& name) const {
    return tar(mini_ ? "nuScenes-lidarseg-mini-v1.0.tar.bz2" : "nuScenes-lidarseg-all-v1.0.tar.bz2", name, "-xjf");
  }
  std::string unless_town(const std::string& command) const { return town_ ? town_from_nothing(root_) : command; }
  std::string official(const std::string& command) const {
    if (town_ || published_) { return unless_town(command); }
    return concat("# ", version_, " is none of nuScenes' own: write ", shell_word(root_),
                  " again with the program that made it");
  }
  std::string tar(const std::string& archive, const path& member, const char* how = "-xzf") const {
    std::error_code ignored;
    const bool linked = !member.empty() && std::filesystem::is_symlink(root_ / *member.begin(), ignored);
    // Without the option GNU tar puts a folder in the place of the link.
    const bool like_option = member.native().starts_with('-');
    return concat("tar ", linked ? "--keep-directory-symlink " : "", how, " ", archive, " -C ", shell_word(root_), " ",
                  like_option ? "-- " : "", shell_word(member));
  }
  /// Folders may have been renamed: the file is written by its name here.
  std::string into(const path& name, const std::string& command) const {
    return concat("mkdir -p ", shell_word(root_ / name.parent_path()), " && ", command, " > ",
                  shell_word(root_ / name));
  }
  static path below_top(const path& name) { return name.lexically_relative(*name.begin()); }

  path root_;
  std::string version_;
  bool mini_, town_, published_;
};

} // namespace sqs::detail
