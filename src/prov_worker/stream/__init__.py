"""Events of tasks, from the logs beside the journals to queues and databases.

The agent writes event logs (:mod:`prov_worker.spool.event_log`); a sender reads them and hands them to sinks, one
thread and one stored position per sink. A sender is a process of its own: `prov-worker stream`, or one that the agent
starts.
"""
