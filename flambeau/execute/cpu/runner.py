"""The native program runner and its workers, as LLVM text.

A program is an int64 array of records [function address, tasks, flags, n, n argument words], ended
by a record whose function address is 0. `run` walks it; `worker` is what pool threads sit in;
`stop` sends them home. All three share `@state`, an array of words laid out below.
"""

from __future__ import annotations

from flambeau.execute.cpu.target import Target

RECORD_HEADER_WORDS = 4
# Flags of a record. The records of a chain, all but the last CHAINED, have equally many tasks; a
# task of each follows the same task of the one before, whatever the others are at.
PARALLEL, CHAINED = 1, 2
TASK_BITS = 24
MAX_TASKS = (1 << TASK_BITS) - 1
MAX_WORKERS = 1023

# Word indices in @state. What different threads write lies 128 bytes apart (prefetch pairs lines).
STATE_WORDS = 128
JOB = 0
FUNCTION, TABLE, ARGUMENTS = 16, 17, 18
DONE, ERROR = 32, 33
LOCK = 48
SLEEPERS, WAKE = 64, 65
WORKERS, ASKED, STOP, SPINS, START = 80, 81, 82, 83, 84
SYSCALL, FUTEX, YIELD, SLEEP, SLEEP_WAITING, SLEEP_IDLE = 96, 97, 98, 99, 100, 101

SYMBOLS = ("run", "worker", "stop", "state", "pause_many")
# How often a thread that has spun in vain lets others have its core before it sleeps: some 0.4 ms.
YIELDS = 1000

# Note [Claiming a task]
# The job word packs (helpers: 16 bits, end: 24, next: 24). The caller claims task `next` by a
# compare-exchange that adds one, a worker task `end` - 1 by one that lowers the end; both read the
# job's function, table and arguments only after it succeeded. So a worker that arrives late can do
# no harm: either its compare-exchange fails, or the word equals the current job's and the claim is
# one of the current job, whatever job the worker first looked for; no generation number is needed.
# The fields cannot change under a claimed task, since the caller publishes the next job only when
# every claimed task is counted in DONE. A worker counts its tasks when it finds no more of them.
#
# Tasks are claimed from two ends since kernels that follow each other, and the same kernel in
# another step, mostly divide the same memory in the same way: a thread finds more of what it needs
# in its own caches.
#
# Before: job A done, worker W read (1, 8, 7) and is descheduled.  Job B starts, reaches (1, 8, 7).
# After:  W's exchange succeeds and takes the last task of B, with B's fields.

# Note [Sleeping]
# A worker notes WAKE, raises SLEEPERS, looks at the job word again and only then sleeps while WAKE
# is unchanged. The caller publishes the job, then reads SLEEPERS. All four are sequentially
# consistent: either the worker sees the job or the caller sees the sleeper and changes WAKE.
#
# Being woken takes some 50 us. So a worker waits, spinning and then letting others have its core,
# longer than the pauses between two kernels and between most programs.


def _word(index: int) -> str:
    """The address of a state word, as a constant expression."""
    return f"getelementptr (i64, ptr @state, i64 {index})"


def _pause(target: Target) -> tuple[str, str]:
    """The declaration and the call of the machine's spin-wait hint (none: nothing)."""
    if target.triple.startswith(("x86_64", "i686")):
        return "declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"
    if target.triple.startswith(("aarch64", "arm64")):
        return "declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"
    return "", ""


def runner_module(target: Target) -> str:
    """The text of the module that defines SYMBOLS."""
    declaration, pause = _pause(target)
    parts = [
        f"@state = global [{STATE_WORDS} x i64] zeroinitializer, align 128",
        declaration,
        _AVAILABLE,
        _work(),
        _wake(),
        _parallel(pause),
        _CHAIN,
        _RUN,
        _worker(pause),
        _stop(),
        _pause_many(pause),
    ]
    return "\n".join(parts)


_AVAILABLE = f"""
define internal i1 @available(i64 %word, i64 %worker) alwaysinline {{
  %next = and i64 %word, {MAX_TASKS}
  %high = lshr i64 %word, {TASK_BITS}
  %end = and i64 %high, {MAX_TASKS}
  %helpers = lshr i64 %word, {2 * TASK_BITS}
  %left = icmp ult i64 %next, %end
  %allowed = icmp slt i64 %worker, %helpers
  %both = and i1 %left, %allowed
  ret i1 %both
}}
"""


def _work() -> str:
    """Claims and runs tasks until none is left; returns how many (worker -1: the caller).

    ERROR keeps the failure of the lowest task, (task << 32 | code); a task above a failed one is
    skipped. No task below it is, so the lowest failure does not depend on timing.
    """
    return f"""
define internal i64 @work(i64 %worker) noinline {{
entry:
  %caller = icmp slt i64 %worker, 0
  br label %look
look:
  %mine = phi i64 [ 0, %entry ], [ %mine, %claim ], [ %more, %counted ]
  %word = load atomic i64, ptr {_word(JOB)} acquire, align 8
  %open = call i1 @available(i64 %word, i64 %worker)
  br i1 %open, label %claim, label %none
claim:
  %up = add i64 %word, 1
  %down = sub i64 %word, {1 << TASK_BITS}
  %new = select i1 %caller, i64 %up, i64 %down
  %pair = cmpxchg ptr {_word(JOB)}, i64 %word, i64 %new acq_rel monotonic, align 8
  %won = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %won, label %claimed, label %look
claimed:
  %next = and i64 %word, {MAX_TASKS}
  %high = lshr i64 %word, {TASK_BITS}
  %end = and i64 %high, {MAX_TASKS}
  %before_end = sub i64 %end, 1
  %task = select i1 %caller, i64 %next, i64 %before_end
  %error = load atomic i64, ptr {_word(ERROR)} monotonic, align 8
  %failed = lshr i64 %error, 32
  %skip = icmp ult i64 %failed, %task
  br i1 %skip, label %counted, label %call
call:
  %function = load ptr, ptr {_word(FUNCTION)}, align 8
  %table = load ptr, ptr {_word(TABLE)}, align 8
  %args = load ptr, ptr {_word(ARGUMENTS)}, align 8
  %last = add i64 %task, 1
  %long = call i64 %function(ptr %table, ptr %args, i64 %task, i64 %last)
  %code = and i64 %long, 4294967295
  %good = icmp eq i64 %code, 0
  br i1 %good, label %counted, label %bad
bad:
  %at = shl i64 %task, 32
  %failure = or i64 %at, %code
  %before = atomicrmw umin ptr {_word(ERROR)}, i64 %failure monotonic, align 8
  br label %counted
counted:
  %more = add i64 %mine, 1
  br label %look
none:
  ret i64 %mine
}}
"""


def _wake() -> str:
    """Wakes up to `count` sleeping workers."""
    return f"""
define internal void @wake(i64 %count) noinline {{
entry:
  %changed = atomicrmw add ptr {_word(WAKE)}, i32 1 seq_cst, align 4
  %syscall = load ptr, ptr {_word(SYSCALL)}, align 8
  %none = icmp eq ptr %syscall, null
  br i1 %none, label %done, label %call
call:
  %number = load i64, ptr {_word(FUTEX)}, align 8
  %woken = call i64 (i64, ...) %syscall(i64 %number, ptr {_word(WAKE)}, i64 129, i64 %count)
  br label %done
done:
  ret void
}}
"""


def _parallel(pause: str) -> str:
    """Runs one record's tasks on the caller and the pool, or serially when the pool is taken."""
    return f"""
define internal i64 @parallel(ptr %function, ptr %table, ptr %args, i64 %tasks, i64 %threads) {{
entry:
  %small = icmp ule i64 %tasks, {MAX_TASKS}
  br i1 %small, label %grow, label %serial
grow:
  %wanted = sub i64 %threads, 1
  %asked = load atomic i64, ptr {_word(ASKED)} monotonic, align 8
  %enough = icmp sge i64 %asked, %wanted
  br i1 %enough, label %count, label %ask
ask:
  %start = load ptr, ptr {_word(START)}, align 8
  call void %start(i64 %wanted)
  br label %count
count:
  %workers = load atomic i64, ptr {_word(WORKERS)} acquire, align 8
  %others = sub i64 %tasks, 1
  %a = call i64 @llvm.umin.i64(i64 %workers, i64 %wanted)
  %helpers = call i64 @llvm.umin.i64(i64 %a, i64 %others)
  %alone = icmp eq i64 %helpers, 0
  br i1 %alone, label %serial, label %lock
lock:
  %pair = cmpxchg ptr {_word(LOCK)}, i64 0, i64 1 acquire monotonic, align 8
  %won = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %won, label %publish, label %serial
serial:
  %long = call i64 %function(ptr %table, ptr %args, i64 0, i64 %tasks)
  %short = and i64 %long, 4294967295
  ret i64 %short
publish:
  store ptr %function, ptr {_word(FUNCTION)}, align 8
  store ptr %table, ptr {_word(TABLE)}, align 8
  store ptr %args, ptr {_word(ARGUMENTS)}, align 8
  store atomic i64 0, ptr {_word(DONE)} monotonic, align 8
  store atomic i64 -1, ptr {_word(ERROR)} monotonic, align 8
  %h = shl i64 %helpers, {2 * TASK_BITS}
  %n = shl i64 %tasks, {TASK_BITS}
  %word = or i64 %h, %n
  store atomic i64 %word, ptr {_word(JOB)} seq_cst, align 8
  %sleepers = load atomic i64, ptr {_word(SLEEPERS)} seq_cst, align 8
  %awake = icmp eq i64 %sleepers, 0
  br i1 %awake, label %share, label %rouse
rouse:
  ; Sleepers wake in no known order: unless all may help, all wake, to find those who may.
  %all = icmp eq i64 %helpers, %workers
  %number = select i1 %all, i64 %helpers, i64 {MAX_WORKERS}
  call void @wake(i64 %number)
  br label %share
share:
  %mine = call i64 @work(i64 -1)
  %theirs = sub i64 %tasks, %mine
  br label %wait
wait:
  %i = phi i64 [ 0, %share ], [ %next, %again ]
  %done = load atomic i64, ptr {_word(DONE)} acquire, align 8
  %finished = icmp eq i64 %done, %theirs
  br i1 %finished, label %end, label %still
still:
  %next = add i64 %i, 1
  %spins = load i64, ptr {_word(SPINS)}, align 8
  %spinning = icmp ult i64 %i, %spins
  br i1 %spinning, label %spin, label %patient
spin:
  {pause}
  br label %again
patient:
  %limit = add i64 %spins, {YIELDS}
  %yielding = icmp ult i64 %i, %limit
  br i1 %yielding, label %yield, label %sleep
yield:
  %give = load ptr, ptr {_word(YIELD)}, align 8
  %given = call i32 %give()
  br label %again
sleep:
  %nap = load ptr, ptr {_word(SLEEP)}, align 8
  %short_nap = load i32, ptr {_word(SLEEP_WAITING)}, align 8
  %napped = call i32 %nap(i32 %short_nap)
  br label %again
again:
  br label %wait
end:
  %error = load atomic i64, ptr {_word(ERROR)} monotonic, align 8
  %fine = icmp eq i64 %error, -1
  %code = and i64 %error, 4294967295
  %result = select i1 %fine, i64 0, i64 %code
  store atomic i64 0, ptr {_word(LOCK)} release, align 8
  ret i64 %result
}}
declare i64 @llvm.umin.i64(i64, i64)
"""


_CHAIN = f"""
define internal i64 @chain(ptr %table, ptr %chain, i64 %first, i64 %last) {{
entry:
  %any = icmp slt i64 %first, %last
  br i1 %any, label %task, label %done
task:
  %number = phi i64 [ %first, %entry ], [ %after, %walked ]
  %after = add i64 %number, 1
  br label %member
member:
  %record = phi ptr [ %chain, %task ], [ %following, %good ]
  %function = load ptr, ptr %record, align 8
  %p2 = getelementptr i64, ptr %record, i64 2
  %p3 = getelementptr i64, ptr %record, i64 3
  %args = getelementptr i64, ptr %record, i64 {RECORD_HEADER_WORDS}
  %flags = load i64, ptr %p2, align 8
  %words = load i64, ptr %p3, align 8
  %following = getelementptr i64, ptr %args, i64 %words
  %code = call i64 %function(ptr %table, ptr %args, i64 %number, i64 %after)
  %fine = icmp eq i64 %code, 0
  br i1 %fine, label %good, label %failed
good:
  %link = and i64 %flags, {CHAINED}
  %linked = icmp ne i64 %link, 0
  br i1 %linked, label %member, label %walked
walked:
  %more = icmp slt i64 %after, %last
  br i1 %more, label %task, label %done
failed:
  ret i64 %code
done:
  ret i64 0
}}
"""


_RUN = f"""
define i64 @run(ptr %table, ptr %program, i64 %threads) {{
entry:
  %many = icmp sgt i64 %threads, 1
  br label %next
next:
  %record = phi ptr [ %program, %entry ], [ %following, %walked ]
  %index = phi i64 [ 1, %entry ], [ %index1, %walked ]
  %first = load ptr, ptr %record, align 8
  %over = icmp eq ptr %first, null
  br i1 %over, label %finished, label %open
open:
  %p1 = getelementptr i64, ptr %record, i64 1
  %p2 = getelementptr i64, ptr %record, i64 2
  %own = getelementptr i64, ptr %record, i64 {RECORD_HEADER_WORDS}
  %tasks = load i64, ptr %p1, align 8
  %flags = load i64, ptr %p2, align 8
  br label %pass
pass:
  ; to the end of the chain
  %member = phi ptr [ %record, %open ], [ %following, %pass ]
  %place = phi i64 [ %index, %open ], [ %index1, %pass ]
  %m2 = getelementptr i64, ptr %member, i64 2
  %m3 = getelementptr i64, ptr %member, i64 3
  %link = load i64, ptr %m2, align 8
  %words = load i64, ptr %m3, align 8
  %behind = getelementptr i64, ptr %member, i64 {RECORD_HEADER_WORDS}
  %following = getelementptr i64, ptr %behind, i64 %words
  %index1 = add i64 %place, 1
  %bit = and i64 %link, {CHAINED}
  %linked = icmp ne i64 %bit, 0
  br i1 %linked, label %pass, label %call
call:
  %single = icmp eq ptr %member, %record
  %function = select i1 %single, ptr %first, ptr @chain
  %args = select i1 %single, ptr %own, ptr %record
  %flag = and i64 %flags, {PARALLEL}
  %flagged = icmp ne i64 %flag, 0
  %several = icmp sgt i64 %tasks, 1
  %shared = and i1 %flagged, %several
  %parallel = and i1 %shared, %many
  br i1 %parallel, label %together, label %alone
alone:
  %long = call i64 %function(ptr %table, ptr %args, i64 0, i64 %tasks)
  %short = and i64 %long, 4294967295
  br label %ran
together:
  %joint = call i64 @parallel(ptr %function, ptr %table, ptr %args, i64 %tasks, i64 %threads)
  br label %ran
ran:
  %code = phi i64 [ %short, %alone ], [ %joint, %together ]
  %good = icmp eq i64 %code, 0
  br i1 %good, label %walked, label %failed
walked:
  br label %next
failed:
  %high = shl i64 %index, 32
  %result = or i64 %high, %code
  ret i64 %result
finished:
  ret i64 0
}}
"""


def _worker(pause: str) -> str:
    """A pool thread's life: work, spin and yield for a while, sleep; until STOP."""
    return f"""
define i64 @worker(i64 %worker) {{
entry:
  br label %poll
poll:
  %i = phi i64 [ 0, %entry ], [ 0, %report ], [ %i1, %spin ], [ %i1, %yield ],
    [ 0, %woken ], [ %i, %drowse ]
  %mine = call i64 @work(i64 %worker)
  %idle = icmp eq i64 %mine, 0
  br i1 %idle, label %rest, label %report
report:
  %before = atomicrmw add ptr {_word(DONE)}, i64 %mine release, align 8
  br label %poll
rest:
  %stop = load atomic i64, ptr {_word(STOP)} monotonic, align 8
  %going = icmp eq i64 %stop, 0
  br i1 %going, label %wait, label %leave
wait:
  %i1 = add i64 %i, 1
  %spins = load i64, ptr {_word(SPINS)}, align 8
  %spinning = icmp ult i64 %i, %spins
  br i1 %spinning, label %spin, label %tired
spin:
  {pause}
  br label %poll
tired:
  %limit = add i64 %spins, {YIELDS}
  %polite = icmp ult i64 %i, %limit
  br i1 %polite, label %yield, label %exhausted
yield:
  %give = load ptr, ptr {_word(YIELD)}, align 8
  %given = call i32 %give()
  br label %poll
exhausted:
  %syscall = load ptr, ptr {_word(SYSCALL)}, align 8
  %portable = icmp eq ptr %syscall, null
  br i1 %portable, label %drowse, label %sleep
drowse:
  %nap = load ptr, ptr {_word(SLEEP)}, align 8
  %length = load i32, ptr {_word(SLEEP_IDLE)}, align 8
  %napped = call i32 %nap(i32 %length)
  br label %poll
sleep:
  %seen = load atomic i32, ptr {_word(WAKE)} seq_cst, align 4
  %raised = atomicrmw add ptr {_word(SLEEPERS)}, i64 1 seq_cst, align 8
  %word = load atomic i64, ptr {_word(JOB)} seq_cst, align 8
  %open = call i1 @available(i64 %word, i64 %worker)
  %stop2 = load atomic i64, ptr {_word(STOP)} seq_cst, align 8
  %stopped = icmp ne i64 %stop2, 0
  %busy = or i1 %open, %stopped
  br i1 %busy, label %woken, label %futex
futex:
  %number = load i64, ptr {_word(FUTEX)}, align 8
  %wide = zext i32 %seen to i64
  %slept = call i64 (i64, ...) %syscall(
    i64 %number, ptr {_word(WAKE)}, i64 128, i64 %wide, ptr null)
  br label %woken
woken:
  %lowered = atomicrmw sub ptr {_word(SLEEPERS)}, i64 1 seq_cst, align 8
  br label %poll
leave:
  ret i64 0
}}
"""


def _stop() -> str:
    return f"""
define i64 @stop() {{
  store atomic i64 1, ptr {_word(STOP)} seq_cst, align 8
  call void @wake(i64 {MAX_WORKERS})
  ret i64 0
}}
"""


def _pause_many(pause: str) -> str:
    """Spins `count` times as a waiting worker does: to measure how long a spin takes."""
    return f"""
define i64 @pause_many(i64 %count) {{
entry:
  br label %again
again:
  %i = phi i64 [ 0, %entry ], [ %next, %again ]
  %word = load atomic i64, ptr {_word(JOB)} acquire, align 8
  {pause}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %again, label %done
done:
  ret i64 %next
}}
"""
