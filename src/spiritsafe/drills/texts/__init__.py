"""What is said: topics, phrases, passages, code, sums, jobs and sets of prompts. All written for the drills.

- `grammar`: topics and their words, patterns compiled into phrases
- `talk`: questions, follow-ups, and a voice of one's own
- `passages`: running text: what is pasted, what is answered
- `code`: code, and the talk around it
- `maths`: word problems with answers
- `jobs`: one template, many records: what honest companies ask
- `lessons`: one template, many slots: what is asked to train another model on, licensed or not
- `sets`: public prompt sets, from a folder that the scenario names
"""
