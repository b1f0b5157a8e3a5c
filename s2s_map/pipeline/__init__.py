"""The job: plan, embed block by block, score, write; and what to do when it is interrupted."""
