"""The community's validator (roc-validator): a client, and the script that its interpreter runs."""
