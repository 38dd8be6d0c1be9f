#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes nuScenes tables of the size of the real ones (no images), to measure how they load.

    tools/make_big_nuscenes.py OUT [SCENES]    850 scenes make about 2 GB; 300 make about 700 MB

Every link is right; numbers are arbitrary. Layout as in the real files: one value a line.
"""
import hashlib
import os
import sys

CHANNELS = ["CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT", "LIDAR_TOP",
            "RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT", "RADAR_BACK_LEFT", "RADAR_BACK_RIGHT"]
RATES = [12] * 6 + [20] + [13] * 5  # files a second
FRAMES, BOXES = 40, 34  # key frames a scene, boxes a key frame


def token(*parts):
    return hashlib.md5("/".join(map(str, parts)).encode()).hexdigest()


def value(v):
    if isinstance(v, str):
        return '"%s"' % v
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, list):
        return "[\n" + ",\n".join(value(e) for e in v) + "\n]"
    return repr(v)


class Table:
    def __init__(self, folder, name):
        self.file = open(os.path.join(folder, name + ".json"), "w")
        self.first = True

    def row(self, **fields):
        self.file.write(("[\n" if self.first else ",\n") + "{\n" +
                        ",\n".join('"%s": %s' % (k, value(v)) for k, v in fields.items()) + "\n}")
        self.first = False

    def close(self):
        self.file.write("[\n]" if self.first else "\n]")
        self.file.close()


def main():
    root, scenes = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 850
    folder = os.path.join(root, "v1.0-trainval")
    os.makedirs(folder, exist_ok=True)
    t = {n: Table(folder, n) for n in
         "category attribute visibility instance sensor calibrated_sensor ego_pose log scene sample sample_data "
         "sample_annotation map".split()}
    t["category"].row(token=token("cat"), name="vehicle.car", description="", index=17)
    t["attribute"].row(token=token("att"), name="vehicle.moving", description="")
    for i, level in enumerate(["v0-40", "v40-60", "v60-80", "v80-100"]):
        t["visibility"].row(token=str(i + 1), level=level, description="")
    for c in CHANNELS:
        t["sensor"].row(token=token("sensor", c), channel=c, modality=c.split("_")[0].lower().replace("cam", "camera"))
    for s in range(scenes):
        log = token("log", s // 12)
        if s % 12 == 0:
            t["log"].row(token=log, logfile="n%03d" % s, vehicle="n008", date_captured="2018-08-01", location="boston-seaport")
        for c in CHANNELS:
            camera = c.startswith("CAM")
            t["calibrated_sensor"].row(token=token("cs", s, c), sensor_token=token("sensor", c),
                                       translation=[0.943713, 0.0, 1.84023],
                                       rotation=[0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817],
                                       camera_intrinsic=[[1266.417203046554, 0.0, 816.2670197447984], [0.0, 1266.417203046554, 491.50706579294757], [0.0, 0.0, 1.0]] if camera else [])
        t["scene"].row(token=token("scene", s), log_token=log, nbr_samples=FRAMES, first_sample_token=token("s", s, 0),
                       last_sample_token=token("s", s, FRAMES - 1), name="scene-%04d" % (s + 1), description="made")
        start = 1530000000000000 + s * 20000000
        for k in range(FRAMES):
            t["sample"].row(token=token("s", s, k), timestamp=start + k * 500000,
                            prev=token("s", s, k - 1) if k else "",
                            next=token("s", s, k + 1) if k + 1 < FRAMES else "", scene_token=token("scene", s))
            for b in range(BOXES):
                t["sample_annotation"].row(token=token("a", s, k, b), sample_token=token("s", s, k),
                                           instance_token=token("i", s, b), visibility_token=str(1 + b % 4),
                                           attribute_tokens=[token("att")],
                                           translation=[373.214 + k, 1130.48 + b, 1.25], size=[0.621, 0.669, 1.642],
                                           rotation=[0.9831098797903927, 0.0, 0.0, -0.18301629506281616],
                                           prev=token("a", s, k - 1, b) if k else "",
                                           next=token("a", s, k + 1, b) if k + 1 < FRAMES else "",
                                           num_lidar_pts=5, num_radar_pts=0)
        for b in range(BOXES):
            t["instance"].row(token=token("i", s, b), category_token=token("cat"), nbr_annotations=FRAMES,
                              first_annotation_token=token("a", s, 0, b), last_annotation_token=token("a", s, FRAMES - 1, b))
        for c, rate in zip(CHANNELS, RATES):
            n = (FRAMES - 1) * rate // 2 + 1
            for j in range(n):
                k = -(-2 * j // rate)  # the key frame it leads to
                key = j == k * rate // 2 if rate % 2 == 0 else j == (k * rate + 1) // 2
                stamp = start + j * 1000000 // rate
                extension = "jpg" if c.startswith("CAM") else "pcd.bin" if c == "LIDAR_TOP" else "pcd"
                here = token("d", s, c, j)
                t["sample_data"].row(token=here, sample_token=token("s", s, min(k, FRAMES - 1)), ego_pose_token=here,
                                     calibrated_sensor_token=token("cs", s, c), timestamp=stamp,
                                     fileformat=extension.split(".")[0], is_key_frame=key,
                                     height=900 if c.startswith("CAM") else 0, width=1600 if c.startswith("CAM") else 0,
                                     filename="%s/%s/n015-2018-07-18-11-07-57+0800__%s__%d.%s" % ("samples" if key else "sweeps", c, c, stamp, extension),
                                     prev=token("d", s, c, j - 1) if j else "", next=token("d", s, c, j + 1) if j + 1 < n else "")
                t["ego_pose"].row(token=here, timestamp=stamp,
                                  rotation=[0.5720320396729045, -0.0016977771610471074, 0.011798001930183783, -0.8201446642457809],
                                  translation=[411.3039349319818 + j, 1180.8903791765097, 0.0])
    for x in t.values():
        x.close()


if __name__ == "__main__":
    main()
