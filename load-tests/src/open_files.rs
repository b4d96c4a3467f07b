//! The limit of open files, raised as far as it goes before many sockets are opened: ours, and that
//! of the server that inherits it.

/// There may not be so many.
#[derive(Debug, thiserror::Error)]
#[error(
    "{asked} people need {needed} open files, the limit is {limit}: ulimit -Hn {needed} first, or \
     take fewer"
)]
pub(crate) struct TooFew {
    asked: usize,
    needed: u64,
    limit: u64,
}

/// Besides people's sockets: the program, its pipes, what a server keeps open.
const OTHERS: u64 = 512;

/// Makes room for `asked` people with so many files each.
pub(crate) fn raise(asked: usize, files_each: u64) -> Result<(), TooFew> {
    let needed = asked as u64 * files_each + OTHERS;
    // What cannot be raised is too few, whatever the reason.
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(0);
    if limit < needed {
        return Err(TooFew {
            asked,
            needed,
            limit,
        });
    }
    Ok(())
}
