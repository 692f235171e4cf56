"""What a call does, told before and measured after: what `explain` returns."""

from dataclasses import dataclass, field


@dataclass
class Decision:
    """What a call does, and with ``measure=True`` what it did. Printed, it is a short report.

    Attributes
    ----------
    device : str
    schedule : str
        ``"rows"``: rows split over threads for the whole sequence; ``"units"``: units split over threads,
        which wait for each other in every step; ``"single"``: one thread, no parallel region;
        ``"reference"``: NumPy, when compiling is switched off. Where it changes as rows end, that of the most
        steps.
    threads : int
        That it takes.
    steps, segments, valid_steps : int
        Of the plan: steps of the longest sequence, sequences, and cell evaluations in all.
    waves : int
        Groups of segments carried through together.
    tile_rows, tile_blocks, wide_blocks : int
        Reach of the tiles, in the first phase with products: rows, unit blocks beside several rows, unit
        blocks beside one.
    workspace_bytes : int
    predicted_seconds : float
    seconds : float or None
        Measured.
    entries : int or None
        Counted: calls of a kernel, which returns now and then so that an interrupt is heard.
    evaluations : int or None
        Counted by the kernel: rows times steps.
    tiles : dict or None
        Counted: (rows, unit blocks) to how many tiles of that shape ran.
    path : tuple of Stretch
        Steps in order, with the schedule and the threads that they take.
    weights : str
        What the matrices are kept in: the layer's dtype, or one of 16 bits.
    """

    device: str
    schedule: str
    threads: int
    steps: int
    segments: int
    valid_steps: int
    waves: int
    tile_rows: int
    tile_blocks: int
    wide_blocks: int
    workspace_bytes: int
    predicted_seconds: float
    seconds: float | None = None
    entries: int | None = None
    evaluations: int | None = None
    tiles: dict | None = None
    path: tuple = ()
    weights: str = ""
    members: int = field(default=1, repr=False)
    wave: int = field(default=1, repr=False)
    capacity: int = field(default=8, repr=False)
    first_steps: int = field(default=1, repr=False)
    usable: int = field(default=0, repr=False)  # threads there were; 0 where the work was too small to ask

    @property
    def is_one_entry(self):
        """Whether a kernel is called once, with everything to be done."""
        return self.waves == 1 == len(self.path) and self.steps <= self.first_steps

    def __str__(self):
        lines = [f"{self.device}, schedule {self.schedule!r}, {self.threads} thread(s), {self.waves} wave(s)"]
        if len(self.path) > 1:
            ways = (f"{one.begin} to {one.end} {one.schedule!r} on {one.threads}" for one in self.path)
            lines.append(f"steps {', '.join(ways)}")
        lines.append(f"{self.segments} sequence(s), {self.steps} steps, {self.valid_steps} cell evaluations")
        lines.append(
            f"tiles up to {self.tile_rows} rows x {self.tile_blocks} blocks, 1 row x {self.wide_blocks} "
            "blocks"
        )
        lines.append(
            f"weights in {self.weights}, workspace {self.workspace_bytes} bytes, predicted "
            f"{self.predicted_seconds:.3g} s"
        )
        if self.seconds is not None:
            shapes = ", ".join(f"{rows}x{blocks}: {count}" for (rows, blocks), count in self.tiles.items())
            lines.append(
                f"measured {self.seconds:.3g} s, {self.entries} kernel entries, "
                f"{self.evaluations} evaluations, tiles {shapes}"
            )
        return "\n".join(lines)


@dataclass
class DeviceDecision:
    """What a call on a CUDA device does. Printed, it is a short report.

    Attributes
    ----------
    device : str
    schedule : str
        ``"steps"``: a kernel for each phase of each step, blocks dividing rows and units; ``"rows"``: one
        kernel, blocks keep all weights in shared memory and take rows to their ends; ``"units"``: one kernel
        whose blocks keep the recurrent weights of some units, and meet in every step.
    tile : Tile
        Of a block: threads beside each other over units, groups of them over rows, rows of each thread.
    steps, segments, valid_steps : int
        Of the plan: steps of the longest sequence, sequences, and cell evaluations in all.
    waves : int
        Groups of segments carried through together.
    blocks : (int, int)
        That divide the rows, and the units; at the first step.
    shared_bytes : int
        Shared memory of a block.
    hoisted : bool
        Products with the inputs are formed beforehand, for `chunk_steps` steps at a time.
    chunk_steps : int
    launches : int
        Of kernels, of the first wave.
    predicted_seconds : float
        By a model whose constants have not been measured; it decides between schedules.
    seconds : float or None
        Measured, from the first launch until the device has finished.
    """

    device: str
    schedule: str
    tile: tuple
    steps: int
    segments: int
    valid_steps: int
    waves: int
    blocks: tuple
    shared_bytes: int
    hoisted: bool
    chunk_steps: int
    launches: int
    predicted_seconds: float
    seconds: float | None = None

    def __str__(self):
        units, groups, rows = self.tile
        lines = [f"{self.device}, schedule {self.schedule!r}, {self.blocks[0]} x {self.blocks[1]} block(s)"]
        lines.append(f"{self.segments} sequence(s), {self.steps} steps, {self.valid_steps} cell evaluations")
        lines.append(
            f"tile {groups * rows} rows x {units} units, {rows} row(s) of each of {units * groups} threads, "
            f"{self.shared_bytes} bytes of shared memory"
        )
        lines.append(
            f"{self.launches} launches, {self.waves} wave(s), predicted {self.predicted_seconds:.3g} s"
        )
        if self.seconds is not None:
            lines.append(f"measured {self.seconds:.3g} s")
        return "\n".join(lines)
