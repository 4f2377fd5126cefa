"""What tests are made of, and which of it to take.

| to test | take |
| --- | --- |
| a workflow, in this process; also killed at any point, and resumed | `runs.Runs` |
| the program as users have it: streams, signals, exit codes | `program.Program` |
| a command, in this process (fifty times as fast) | `program.Quick` |
| a step's processes: groups, signals, who is left | `processes.Bench` |
| what stands on a terminal that is resized and typed into | `emulator` |
| runs that a Python program starts and looks at | `folders.Folder` |
| agents, played by recordings of the real programs | `agents.Agents` |
| the workflows that ship, with git, a remote and `gh` | `shipped` |
| the real programs, against stand-ins of their servers | `real`, `models_server`, `github_server` |
| a store, filled and read whole | `stores` |
| files and folders that a store keeps | `workspaces`, `repositories` |
| what a power cut leaves of a store | `disks` |
| a disk that is full, stops or fails; operations counted | `faults` |
| another user's folders | `users` |
| what a terminal shows, in colour | `screens` |
| the examples of a page of the documentation | `pages` |
| a page in Chromium, and what it does beyond being shown | `browser.Browser` |
| steps that can be undone | `rollbacks` |
| an enumeration that takes long | `shards` |

`patience` says how long a test waits for what has to happen, `surroundings` what a test has around
it. `asking` asks for the value of one expression, `gc_saver` saves beside a collection.
"""
