/* SPDX-License-Identifier: MIT */
/*
 * The write gate's handoff, for spin: what txn/gate.c does, told again in Promela, and what it
 * promises as assertions.  tests/model/run.py searches all interleavings of it.
 *
 * What stands for what (functions of txn/gate.c):
 *
 *     holder, line, is_queued,    the same in struct lido__gate (NOBODY: not `is_held`) and
 *     is_given, is_woken,         struct lido__gate_wait.  The three queues are one line in order of
 *     is_napping                  arrival, with a priority for each who stands in it: a queue's
 *                                 head is the first of its own.
 *     due                         is_due(): nobody knows when, but once true it stays so, and
 *                                 those who came first are due first (-DANY_AGE: in any order,
 *                                 as for pools with other `gate_aging_us`)
 *     MAY_TAKE, TAKE, NEXT        may_take_locked(), take_locked(), next_locked()
 *     SETTLE                      settle_locked()
 *     LOOK                        one turn of the loop in wait_locked(), and what follows it
 *     asleep:                     come_back(), with lido__park() in it; or nap(), whose end is
 *                                 the clock's
 *     awaits:                     await_unpark()
 *     UNPARK                      wake() and lido__unpark()
 *     listening, bell_is_rung     listen(), unlisten(), and the lock of a list of sleepers,
 *                                 which is held while wake_to_look() is called for each
 *     fired                       what `stop` reads
 *     Waiter                      try_here(), enter_here(), leave_here()
 *     Newcomer                    try_here() alone
 *
 * What is done under gate->lock is one step here: all that it touches is guarded by it, but the
 * token, which is read once, and the clock.  Between those steps anybody may run: in particular
 * between an unlock and the park, between the unlock and the unpark of who was woken, between
 * a park that ended and the lock after it.
 *
 * Promises, each an assertion or what spin looks for by itself:
 *
 *     SOUND           at each unlock: a free gate with somebody in line has one who is awake
 *     (end states)    nobody sleeps for ever while the others have gone home
 *     TAKE            one at a time is in; no newcomer goes before a head that is due, and of
 *                     those in line that came later one at most: who was awake already
 *     coming away     who says that it is in has the gate, who says that it gave up has not;
 *                     no unpark is under way to one who leaves, and none is kept
 *     everybody_in    (-DLIVE) whoever stands in line comes in, if threads run and time passes
 *
 * Switches: WAITERS, TIMED (waits have deadlines), STOPS (tokens are fired), RINGS (or only
 * their bells), STRICT (due at once), ANY_AGE, LIVE, and FAULT_..., each a mistake that run.py
 * wants to be found.
 *
 * What is left out: how long anything takes, LIDO_DEADLOCK and the other answers without a
 * wait, counts and views, more than one gate, for a waiter stands at one, and other processes:
 * who is in waits for them before it goes on, and that is a part of being in.
 */
#ifndef WAITERS
#define WAITERS 3
#endif
#define NOBODY   255
#define NEWCOMER WAITERS
#define IS_HIGH(i) (i == 0) /* the others' priority is lower */

#ifdef STRICT
#define IS_DUE(i) true
#else
#define IS_DUE(i) due[i]
#endif

byte holder = NOBODY;
byte line[WAITERS] = NOBODY;
byte length;
bool is_queued[WAITERS], is_given[WAITERS], is_woken[WAITERS], is_napping[WAITERS];
bool is_unparked[WAITERS]; /* a parker's */
bool is_listening[WAITERS], fired[WAITERS];
bool bell_is_rung; /* the lock of the list is held */
#ifndef STRICT
bool due[WAITERS];
#endif

/* Not the gate's: what the promises are about. */
bool is_there[WAITERS];    /* its wait is on its stack */
byte under_way[WAITERS];   /* unparks that were decided and not done */
bool is_overtaken[WAITERS]; /* it was due then, and at its queue's head */

/* For one step each: none is part of a state. */
hidden byte at, who, next_one, first_due, yes, high_is_past, low_is_past;

/* A head is the first of its priority: sets `yes` for line[at]. */
inline IS_HEAD()
{
    yes = (IS_HIGH(line[at]) && !high_is_past) || (!IS_HIGH(line[at]) && !low_is_past);
    if
    :: IS_HIGH(line[at]) -> high_is_past = true
    :: else -> low_is_past = true
    fi
}

inline FROM_THE_FRONT()
{
    at = 0;
    high_is_past = false;
    low_is_past = false
}

inline APPEND(i)
{
    line[length] = i;
    length++;
    is_queued[i] = true
}

inline REMOVE(i)
{
    at = 0;
    do
    :: line[at] == i -> break
    :: else -> at++
    od;
    do
    :: at + 1 < length -> line[at] = line[at + 1]; at++
    :: else -> break
    od;
    length--;
    line[length] = NOBODY;
    is_queued[i] = false
}

/* Nobody who came later goes before a head that is due, but for one who was awake. */
inline OVERTAKE(i)
{
    FROM_THE_FRONT();
    do
    :: at < length && line[at] != i ->
        IS_HEAD();
        if
        :: yes && IS_DUE(line[at]) ->
            assert(i != NEWCOMER && is_queued[i]); /* no newcomer */
            assert(!is_overtaken[line[at]]);       /* nor a second one */
            is_overtaken[line[at]] = true
        :: else
        fi;
        at++
    :: else -> break
    od
}

/* While it stands in line, if it does. */
inline TAKE(i)
{
    assert(holder == NOBODY);
    OVERTAKE(i);
    holder = i
}

inline MAY_TAKE(i, is_high)
{
    yes = holder == NOBODY;
    FROM_THE_FRONT();
    who = i;
    do
    :: at < length && holder == NOBODY ->
#ifndef FAULT_NEWCOMER_OVERTAKES
        if
        :: IS_HIGH(line[at]) && !high_is_past ->
            high_is_past = true;
            if
            :: !is_high || IS_DUE(line[at]) -> who = NOBODY
            :: else
            fi
        :: !IS_HIGH(line[at]) && !low_is_past ->
            low_is_past = true;
            if
            :: IS_DUE(line[at]) -> who = NOBODY
            :: else
            fi
        :: else
        fi;
#endif
        at++
    :: else -> break
    od;
    yes = yes && who != NOBODY
}

inline NEXT()
{
    next_one = NOBODY;
    first_due = NOBODY;
    FROM_THE_FRONT();
    do
    :: at < length ->
        IS_HEAD();
        if
        :: yes ->
            if
            :: IS_HIGH(line[at]) || next_one == NOBODY -> next_one = line[at]
            :: else
            fi;
            if
            :: IS_DUE(line[at]) && first_due == NOBODY -> first_due = line[at]
            :: else
            fi
        :: else
        fi;
        at++
    :: else -> break
    od
}

inline WAKE_UP(i, woken)
{
    if
#ifndef FAULT_WOKEN_TWICE
    :: is_woken[i]
#endif
    :: else ->
        is_woken[i] = true;
        under_way[i]++;
        woken = i
    fi
}

/* Whom the caller has to unpark goes to `woken`. */
inline SETTLE(woken)
{
    if
    :: holder == NOBODY && length > 0 ->
        NEXT();
        if
        :: first_due != NOBODY ->
            next_one = first_due;
            TAKE(next_one);
#ifndef FAULT_HANDED_STAYS
            REMOVE(next_one);
#endif
            is_given[next_one] = true;
            is_woken[next_one] = is_woken[next_one] && !is_napping[next_one];
            is_napping[next_one] = false
        :: else
        fi;
        WAKE_UP(next_one, woken)
    :: else
    fi
}

/* At each unlock. */
inline SOUND()
{
    yes = holder != NOBODY || length == 0;
    at = 0;
    do
    :: at < length -> yes = yes || is_woken[line[at]]; at++
    :: else -> break
    od;
    assert(yes)
}

inline UNPARK(woken)
{
    if
    :: woken != NOBODY ->
        d_step {
            assert(is_there[woken] && under_way[woken] > 0);
            under_way[woken]--;
            is_unparked[woken] = true;
            woken = NOBODY
        }
    :: else
    fi
}

mtype = { IS_IN, GAVE_UP, SLEEPS, NAPS, AWAITS };

inline GIVE_UP(i, woken)
{
    if
    :: is_queued[i] -> REMOVE(i)
    :: else
    fi;
#ifndef FAULT_GIVES_UP_SILENTLY
    SETTLE(woken);
#endif
    turn = GAVE_UP
}

inline LOOK(i, woken)
{
    if
#ifdef FAULT_LATE_WITH_THE_GATE
    :: is_given[i] && is_in_time -> turn = IS_IN
#elif defined(FAULT_STOPPED_WITH_THE_GATE)
    :: is_given[i] && !fired[i] -> turn = IS_IN
#else
    :: is_given[i] -> turn = IS_IN
#endif
    :: else ->
        if
        :: fired[i] -> GIVE_UP(i, woken)
        :: else ->
            if
#ifdef FAULT_TAKES_WITHOUT_A_LOOK
            :: is_woken[i] ->
#else
            :: is_woken[i] && holder == NOBODY ->
#endif
                TAKE(i);
                REMOVE(i);
                turn = IS_IN
            :: else ->
                if
                :: !is_in_time -> GIVE_UP(i, woken)
                :: is_in_time && is_woken[i] && may_nap && !IS_DUE(i) ->
                    is_napping[i] = true;
                    may_nap = false;
                    turn = NAPS
                :: else ->
                    may_nap = true;
#ifndef FAULT_SLEEPS_BEFORE_IT_NOTES
                    is_woken[i] = false;
#endif
                    turn = SLEEPS
                fi
            fi
        fi
    fi
}

inline LISTEN(i)
{
    atomic { !bell_is_rung -> is_listening[i] = true }
}

inline LEAVE(i, woken)
{
    d_step {
        assert(holder == i);
        holder = NOBODY;
#ifndef FAULT_LEAVES_SILENTLY
        SETTLE(woken);
#endif
        SOUND()
    };
    UNPARK(woken)
}

proctype Waiter(byte i)
{
    byte woken = NOBODY;
    bool is_in_time, may_nap, is_called;
    mtype turn;

home:
    if
#ifndef LIVE
    :: goto end
#endif
    :: d_step {
        MAY_TAKE(i, IS_HIGH(i)); /* try_here() */
        if
        :: yes -> TAKE(i)
        :: else
        fi
    }
    fi;
    if
    :: holder == i -> goto in
    :: else
    fi;
    d_step {
        is_there[i] = true;
        is_in_time = true;
        may_nap = true
    };
#ifndef FAULT_LISTENS_LATE
    LISTEN(i);
#endif
    d_step {
        MAY_TAKE(i, IS_HIGH(i));
        if
        :: yes -> TAKE(i); turn = IS_IN
        :: else -> APPEND(i); LOOK(i, woken)
        fi;
        SOUND()
    };
#ifdef FAULT_LISTENS_LATE
    LISTEN(i);
#endif
asleep:
    if
    :: turn == IS_IN || turn == GAVE_UP -> goto away
    :: else
    fi;
    if
    :: d_step { is_unparked[i] -> is_unparked[i] = false; is_called = true }
#ifdef TIMED
    :: turn == SLEEPS -> is_in_time = false
#endif
    :: turn == NAPS
    fi;
    d_step {
        if
#ifdef FAULT_GOES_BEFORE_IT_IS_WOKEN
        :: turn == SLEEPS -> LOOK(i, woken)
#else
        :: turn == SLEEPS && (is_called || !is_woken[i]) -> LOOK(i, woken)
#endif
#ifdef FAULT_NAP_ENDS_ALL_THE_SAME
        :: turn == NAPS ->
#else
        :: turn == NAPS && (is_called || is_napping[i]) ->
#endif
            is_napping[i] = false;
            LOOK(i, woken)
        :: else -> turn = AWAITS
        fi;
        is_called = false;
        SOUND()
    };
    if
    :: turn == AWAITS ->
        d_step { is_unparked[i] -> is_unparked[i] = false }; /* awaits: */
        d_step {
#ifndef FAULT_LATE_WITH_THE_GATE
            is_in_time = true;
#endif
            LOOK(i, woken);
            SOUND()
        }
    :: else
    fi;
    goto asleep;
away:
    UNPARK(woken);
    atomic { !bell_is_rung -> is_listening[i] = false };
    d_step {
        assert((turn == IS_IN) == (holder == i));
        assert(under_way[i] == 0 && !is_unparked[i] && !is_queued[i]);
        is_there[i] = false;
        is_given[i] = false;
        is_woken[i] = false;
        is_in_time = false;
        may_nap = false;
        is_overtaken[i] = false;
        fired[i] = false;
#ifndef STRICT
        due[i] = false
#endif
    };
    if
    :: turn == IS_IN -> goto in
    :: else -> goto home
    fi;
in:
    turn = 0;
    LEAVE(i, woken);
    goto home;
end:
    skip
}

proctype Newcomer()
{
    byte woken = NOBODY;

    do
    :: d_step {
        MAY_TAKE(NEWCOMER, false);
        if
        :: yes -> TAKE(NEWCOMER)
        :: else
        fi
       };
       if
       :: holder == NEWCOMER -> LEAVE(NEWCOMER, woken)
       :: else
       fi
    :: break
    od
}

#if !defined(STRICT) && !defined(FAULT_NEVER_DUE)
/* Who came first is due first. */
active proctype Clock()
{
    byte i;

end:
    do
#ifdef ANY_AGE
    :: atomic { is_queued[0] && !due[0] -> due[0] = true }
    :: atomic { is_queued[1] && !due[1] -> due[1] = true }
#if WAITERS > 2
    :: atomic { is_queued[2] && !due[2] -> due[2] = true }
#endif
#else
    :: d_step { length > 0 && !due[line[0]] -> due[line[0]] = true }
    :: d_step { length > 1 && due[line[0]] && !due[line[1]] -> due[line[1]] = true }
#if WAITERS > 2
    :: d_step { length > 2 && due[line[1]] && !due[line[2]] -> due[line[2]] = true }
#endif
#endif
    od
}
#endif

#if defined(STOPS) || defined(RINGS)
/* Fires the token of one, or of nobody, and rings for all who listen: the list of a pool. */
active proctype Ringer()
{
    byte i, woken = NOBODY;

    do
    :: break
    ::
#ifdef STOPS
        if
        :: fired[0] = true
        :: fired[1] = true
        fi;
#endif
        atomic { !bell_is_rung -> bell_is_rung = true };
        i = 0;
        do
        :: i < WAITERS ->
            d_step {
                if
                :: is_listening[i] && is_queued[i] -> WAKE_UP(i, woken)
                :: else
                fi;
                SOUND()
            };
            UNPARK(woken);
            i++
        :: else -> break
        od;
        i = 0;
        d_step {
            /* Whose token was fired is out of the line or awake; 2 and up are never stopped. */
            assert(!fired[0] || !is_queued[0] || is_woken[0]);
            assert(!fired[1] || !is_queued[1] || is_woken[1]);
            bell_is_rung = false
        }
    od
}
#endif

init
{
    atomic {
        run Waiter(0);
        run Waiter(1);
#if WAITERS > 2
        run Waiter(2);
#endif
#ifdef NEWCOMERS
        run Newcomer();
#endif
    }
}

#ifdef LIVE
#define stands_in_line is_queued[LIVE]
#define comes_in       (holder == LIVE)
ltl everybody_in { [] (stands_in_line -> <> comes_in) }
#endif
