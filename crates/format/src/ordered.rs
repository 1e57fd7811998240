//! Runs work in parallel and takes the results in order, so the bytes made from them do not depend
//! on the number of threads.

use std::sync::mpsc::sync_channel;

/// The most threads that work in parallel: each holds a compressor and the results it has made
/// ahead.
const MAX_THREADS: usize = 16;
/// The number of results that a thread may be ahead of the consumer.
const AHEAD: usize = 2;

/// Runs `jobs` jobs, numbered from 0, in up to `threads` threads, and passes each result to `take`
/// in the order of the numbers.
///
/// Every thread has its own worker from `begin`. Thread `n` of `t` does the jobs `n`, `n + t`, `n +
/// 2t`, …, so threads need not coordinate, and a thread that is too far ahead waits.
///
/// # Errors
/// The error of the first job that fails, or of `take`; the remaining jobs are not run.
pub fn in_order<T, F, E>(
    jobs: usize,
    threads: usize,
    begin: impl Fn() -> Result<F, E> + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send,
    F: FnMut(usize) -> Result<T, E>,
    E: Send,
{
    let threads = threads.min(MAX_THREADS).min(jobs).max(1);
    std::thread::scope(|scope| {
        let begin = &begin;
        let spawn = |first: usize| {
            let (results, taken) = sync_channel(AHEAD);
            scope.spawn(move || {
                let mut worker = begin();
                for job in (first..jobs).step_by(threads) {
                    let result = match &mut worker {
                        Ok(worker) => worker(job),
                        Err(_) => break,
                    };
                    // Results are no longer consumed once one was an error.
                    if results.send(result).is_err() {
                        return;
                    }
                }
                if let Err(error) = worker {
                    let _ = results.send(Err(error));
                }
            });
            taken
        };
        let taken: Vec<_> = (0..threads).map(spawn).collect();
        for job in 0..jobs {
            match taken[job % threads].recv() {
                Ok(result) => take(result?)?,
                // That thread panicked, so the scope panics when it ends.
                Err(_) => break,
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn squares(jobs: usize, threads: usize) -> Result<Vec<usize>, String> {
        let mut taken = Vec::new();
        let slow_square = || {
            Ok(|job: usize| {
                std::thread::sleep(std::time::Duration::from_micros(job as u64 * 37 % 101));
                Ok(job * job)
            })
        };
        in_order(jobs, threads, slow_square, |square| {
            taken.push(square);
            Ok(())
        })
        .map(|()| taken)
    }

    #[test]
    fn results_are_in_order_for_any_number_of_threads() {
        let expected: Vec<usize> = (0..500).map(|job| job * job).collect();
        for threads in [0, 1, 2, 7, 1000] {
            assert_eq!(squares(500, threads).as_ref(), Ok(&expected), "{threads} threads");
        }
        assert_eq!(squares(0, 4), Ok(Vec::new()));
        assert_eq!(squares(1, 4), Ok(vec![0]));
    }

    #[test]
    fn the_first_error_in_order_is_returned() {
        for threads in [1, 3, 16] {
            let mut taken = 0;
            let fails = || Ok(|job: usize| if job % 10 == 7 { Err(job) } else { Ok(job) });
            let result = in_order(1_000_000, threads, fails, |_| {
                taken += 1;
                Ok(())
            });
            assert_eq!((result, taken), (Err(7), 7));
        }
        let refuses = in_order(1_000_000, 4, || Ok(Ok), |job| if job == 5 { Err(job) } else { Ok(()) });
        assert_eq!(refuses, Err(5));
        let begin = || if true { Err("no memory") } else { Ok(Ok) };
        assert_eq!(in_order(3, 2, begin, |_: usize| Ok(())), Err("no memory"));
    }

    #[test]
    fn no_thread_runs_far_ahead() {
        let (begun, taken, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            Ok(|_| {
                let ahead = (begun.fetch_add(1, Ordering::SeqCst) + 1).saturating_sub(taken.load(Ordering::SeqCst));
                most.fetch_max(ahead, Ordering::SeqCst);
                Ok::<_, ()>(())
            })
        };
        let result = in_order(300, 4, work, |()| {
            std::thread::sleep(std::time::Duration::from_micros(200));
            taken.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        // Per thread: results in the queue, one in progress, and one passed on but not counted yet.
        assert!(most.into_inner() <= 4 * (AHEAD + 2));
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_passed_on() {
        let dies = || Ok(|job: usize| if job == 9 { panic!("a bug") } else { Ok::<_, ()>(job) });
        let _ = in_order(100, 3, dies, |_| Ok(()));
    }
}
