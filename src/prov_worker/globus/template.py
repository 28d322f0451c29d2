"""What the daemon makes of a template: the configuration, the engine, and the script that its provider would submit.

All by Globus Compute's and Parsl's own code, without a daemon and without a scheduler.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import tempfile
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError

_INTERFACE = re.compile(r"^(\s*)address: \{type: address_by_interface.*$", re.MULTILINE)


#: Parsl names a script by the moment at which it writes it.
_TIME = re.compile(r"block-0\.\d+\.\d+")


def render(
    template: str, schema: dict[str, Any], options: dict[str, Any] | None = None, identity: str | None = None
) -> str:
    """Render a template as the daemon does for a client that asks for ``options``.

    Args:
        template: text of the template.
        schema: of the options.
        options: what the client asks for.
        identity: Globus identity that the daemon mapped to the account; None without a mapping, as of one's own.

    Returns:
        YAML of the user endpoint.

    Raises:
        InputError: the schema refuses an option, or the template cannot be rendered.
    """
    import jinja2
    import jsonschema
    from globus_compute_endpoint.endpoint.config import config
    from globus_compute_endpoint.endpoint.config.utils import render_config_user_template
    from globus_compute_endpoint.endpoint.identity_mapper import MappedPosixIdentity

    # Its name until 4.18, and since.
    parent = getattr(config, "CoreEndpointConfig", None) or config.ManagerEndpointConfig
    with tempfile.TemporaryDirectory() as empty:
        try:
            return str(
                render_config_user_template(
                    parent(),
                    template,
                    Path(empty) / "template",
                    MappedPosixIdentity(pwd.getpwuid(os.getuid()), [], identity),
                    schema,
                    options or {},
                    {},
                )
            )
        except jsonschema.ValidationError as error:
            raise InputError(f"{'.'.join(str(part) for part in error.path) or 'options'}: {error.message}") from None
        except (jinja2.TemplateError, ValueError) as error:
            raise InputError(f"the template cannot be rendered: {error}") from None


def load(text: str, *, any_interface: bool = False) -> Any:
    """Build the engine that a rendered template names; the caller shuts it down.

    Args:
        text: as :func:`render` gives it.
        any_interface: an interface that this machine lacks is replaced by loopback: the one that is named belongs to
            the machine that the template is for.

    Raises:
        InputError: Globus Compute refuses the configuration, in its own words.
    """
    from click import ClickException
    from globus_compute_endpoint.endpoint.config.utils import load_config_yaml

    import prov_worker.globus.register  # noqa: F401

    if any_interface:
        match = re.search(r"ifname: \"?([^\s\"}]+)", text)
        if match is not None and match[1] not in {name for _, name in socket.if_nameindex()}:
            text = _INTERFACE.sub(r"\1address: 127.0.0.1", text)
    try:
        return getattr(load_config_yaml(text), "engine")  # noqa: B009
    except ClickException as error:
        message = error.message
    # Raised here, where that error is gone: it holds frames of Parsl's, and these open sockets.
    raise InputError(message)


def load_core(text: str, *, here: bool = True) -> None:
    """Load the configuration of the endpoint's own process, ``config.yaml``, as the daemon does before it starts.

    Args:
        text: its YAML.
        here: it is this user on this host that would start it.

    Raises:
        InputError: Globus Compute refuses it, in its own words.
    """
    from click import ClickException
    from globus_compute_endpoint.endpoint.config import config
    from globus_compute_endpoint.endpoint.config.utils import load_config_yaml
    from globus_compute_endpoint.endpoint.utils import is_privileged

    core = getattr(config, "CoreEndpointConfig", None) or config.ManagerEndpointConfig
    try:
        loaded = load_config_yaml(text)
    except ClickException as error:
        raise InputError(f"config.yaml: {error.message}") from None
    if not isinstance(loaded, core):
        raise InputError("config.yaml: engine: belongs in the template of user endpoints")
    if here and not getattr(loaded, "email", None) and is_privileged():
        raise InputError("email: must be set if root, or a user with capabilities, starts the endpoint")


def batch_script(text: str, run_dir: str) -> tuple[str, str]:
    """Return the command and the script with which a block would be submitted.

    Args:
        text: as :func:`render` gives it.
        run_dir: path that stands for the user endpoint's folder in the script.

    Returns:
        The scheduler's command, and the script's text; the command is empty if the provider has no scheduler. In
        the script ``LOGIN_NODE`` stands for the address of the login node, 54321 for its port, and ``TIME`` for when.

    Raises:
        InputError: Globus Compute refuses the configuration.
    """
    engine = load(text, any_interface=True)
    commands: list[str] = []
    try:
        executor = engine.executor
        provider = executor.provider
        executor.run_dir = run_dir
        if engine.container_type:
            engine.run_dir = run_dir
            executor.launch_cmd = engine.containerized_launch_cmd()
        # As `start` sets them, with words for what is known then alone.
        executor.logconf_path = f"{run_dir}/logconf.json"
        executor.worker_port = 54321
        if executor.encrypted:
            executor.cert_dir = f"{run_dir}/certificates"
        executor.all_addresses = "LOGIN_NODE" if isinstance(executor.all_addresses, str) else ["LOGIN_NODE"]
        executor.initialize_scaling()
        command = str(executor.launch_cmd).format(block_id="0")
        if not hasattr(provider, "walltime"):
            return "", f"{provider.worker_init}\n{command}\n".lstrip("\n")

        def refuse(command: str, *args: Any, **kwargs: Any) -> tuple[int, str, str]:
            commands.append(command)
            return 1, "", "only looked at"

        provider.execute_wait = refuse
        with tempfile.TemporaryDirectory() as scripts:
            provider.script_dir = scripts
            try:
                provider.submit(command, 1, f"parsl.{executor.label}.block-0")
            except Exception:
                # The refusal above, which providers turn into an error of their own; the script is written by then.
                pass
            (written,) = Path(scripts).iterdir()
            texts = [
                _TIME.sub("block-0.TIME", text.replace(scripts, f"{run_dir}/submit_scripts"))
                for text in (commands[-1], written.read_text(encoding="utf-8"))
            ]
            return texts[0], texts[1]
    finally:
        engine.shutdown(block=False)
