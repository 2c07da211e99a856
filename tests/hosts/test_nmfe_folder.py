"""The folder that other programs take for NONMEM's."""

import os
import subprocess

import pytest

from nlmevae.errors import OutputError
from nlmevae.hosts.nmfe_folder import install_nmfe, script_text


def test_the_scripts_are_where_programs_look_for_them(tmp_path):
    paths = install_nmfe(tmp_path / "nonmem")
    assert [str(p.relative_to(tmp_path)) for p in paths] == ["nonmem/run/nmfe75", "nonmem/util/nmfe75"]
    assert all(os.access(p, os.X_OK) for p in paths)
    install_nmfe(tmp_path / "nonmem")  # again


def test_a_real_nonmem_is_left_alone(tmp_path):
    script = tmp_path / "run" / "nmfe75"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho NONMEM\n")
    with pytest.raises(OutputError, match="is not nlmevae's"):
        install_nmfe(tmp_path)
    assert script.read_text() == "#!/bin/sh\necho NONMEM\n"
    assert not (tmp_path / "util").exists()


def test_the_script_hands_on_its_arguments_as_they_are(tmp_path):
    python = tmp_path / "a python"
    python.write_text('#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n')
    python.chmod(0o755)
    script = tmp_path / "nmfe75"
    script.write_text(script_text(str(python)))
    script.chmod(0o755)
    shown = subprocess.run([script, "m.ctl", "m.lst", "", "-maxlim=2"], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["<-m>", "<nlmevae.cli.nmfe_script>", "<m.ctl>", "<m.lst>", "<>", "<-maxlim=2>"]
